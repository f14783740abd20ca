#include "pg/pg.hpp"

#include "hnsw/filter.hpp"

#include "core/error.hpp"

#include "page/chain.hpp"

namespace quiver::hnsw {

static Vec<uint8_t> read_learnt(Relation index, const MetaData& meta)
{
    Vec<uint8_t> bytes(meta.filter_bytes);
    if (!bytes.empty())
        page::read_chain(index, meta.filter_codes, reinterpret_cast<char*>(bytes.data()),
                         bytes.size());
    return bytes;
}

Filter::Filter(Relation index, const MetaData& meta)
try : Filter(index, meta, read_learnt(index, meta)) {
} catch (const Error&) {
    throw Error(Errc::corrupt, "the filter codes of index \"%s\" are damaged",
                RelationGetRelationName(index));
}

bool Filter::read_conditions(IndexScanDesc scan, codec::FilterSet* to)
{
    if (!codec_)
        return false;
    const std::span<const codec::FilterCondition> conditions = columns_->read_conditions(scan);
    if (conditions.empty())
        return false;
    codec_->make_set(conditions, to);
    return true;
}

}   // namespace quiver::hnsw

#include "pg/pg.hpp"

#include "ivfflat/meta.hpp"

#include "am/filter_columns.hpp"
#include "am/operator_class.hpp"
#include "ivfflat/handler.hpp"
#include "ivfflat/options.hpp"
#include "page/chain.hpp"

namespace quiver::ivfflat {

namespace {

// How many bits a code has per dimension. Vectors that PostgreSQL stores out of line are slow to read, so they get
// enough bits that most of them need not be read.
uint8 choose_vector_bits(const am::Opclass& opclass, uint32 dims, bool filtered, int wanted)
{
    constexpr uint32 largest_in_line = 1950;
    const auto fits = [&](uint32 bits) {
        const codec::CodecSpec spec{opclass.form(), opclass.metric, dims, bits};
        return codec::find_codec(spec) &&
               lists::Encoding({spec, filtered}, page::usable_bytes).layout().fits();
    };
    if (wanted != choose_bits) {
        if (!fits(static_cast<uint32>(wanted)))
            ereport(
                ERROR,
                (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                 errmsg("vector_bits = %d is not possible for this operator class and this number "
                        "of dimensions",
                        wanted),
                 errhint("Use the default of vector_bits.")));
        return static_cast<uint8>(wanted);
    }
    const uint32 row_bytes = dims * (opclass.element == am::ElementType::f32 ? 4 : 2);
    if (opclass.form() == codec::Form::dense && row_bytes > largest_in_line && fits(12))
        return 12;
    if (!fits(8))
        ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
                        errmsg("a row of %u dimensions does not fit on a page of an %s index", dims,
                               opclass.method.name)));
    return 8;
}

}   // namespace

uint32 lists_for(double rows, const lists::Layout& layout)
{
    return static_cast<uint32>(std::clamp(std::min(2 * std::sqrt(rows), rows / layout.least_rows()),
                                          1.0, double{lists::max_lists}));
}

MetaData new_meta(Relation index)
{
    am::check_columns(index, access_method);
    const am::Opclass& opclass = am::opclass_of(index);
    const Options options = option_table.of(index);
    MetaData meta{am::new_meta_head(access_method)};
    meta.metric = opclass.metric;
    meta.form = opclass.form();
    meta.dims = am::dimensions_of_column(index);
    meta.filter_columns = static_cast<uint32>(IndexRelationGetNumberOfKeyAttributes(index)) - 1;
    meta.bits =
        choose_vector_bits(opclass, meta.dims, meta.filter_columns > 0, options.vector_bits);
    meta.chosen_lists = options.lists == choose_lists;
    meta.lists = static_cast<uint32>(options.lists);
    meta.rotation_seed = 1;
    meta.codec_parameters = meta.filter_codes = meta.root_centre = meta.root = InvalidBlockNumber;
    return meta;
}

namespace {

bool has_encoding(const MetaData& meta)
{
    return codec::is_metric(meta.metric) &&
           (meta.form == codec::Form::dense || meta.form == codec::Form::bits) && meta.dims >= 1 &&
           meta.dims <= codec::max_dims_of(meta.form) &&
           meta.filter_columns <= codec::max_filter_columns &&
           meta.filter_bytes <= codec::max_filter_codec_bytes && meta.features == 0 &&
           codec::find_codec(meta.encoding().codec) &&
           lists::Encoding(meta.encoding(), page::usable_bytes).layout().fits() &&
           meta.lists >= 1 && meta.lists <= lists::max_lists;
}

bool is_good(const am::MetaHead& head, Relation index)
{
    const auto& meta = static_cast<const MetaData&>(head);
    return has_encoding(meta) && am::has_columns(index, meta.filter_columns, meta.dims);
}

}   // namespace

MetaData read_meta(Relation index)
{
    MetaData meta;
    am::load_meta(ERROR, index, access_method, &meta, sizeof meta, is_good);
    return meta;
}

bool read_meta_for_planner(const IndexPath* path, MetaData* to)
{
    const Relation index = index_open(path->indexinfo->indexoid, NoLock);
    const bool readable = am::load_meta(WARNING, index, access_method, to, sizeof *to, is_good);
    index_close(index, NoLock);
    return readable;
}

IndexEncoding::IndexEncoding(const MetaData& meta)
    : lists::Encoding(meta.encoding(), page::usable_bytes)
{
}

IndexEncoding::IndexEncoding(Relation index, const MetaData& meta) : IndexEncoding(meta)
{
    if (Vec<half> parameters(parameter_count()); !parameters.empty()) {
        page::read_chain(index, meta.codec_parameters, reinterpret_cast<char*>(parameters.data()),
                         parameters.size() * sizeof(half));
        set_parameters(parameters.data());
    }
}

void IndexEncoding::read_root_centre(Relation index, BlockNumber chain)
{
    if (exact())
        return;
    Vec<char> record(root_centre_bytes(shape().codec));
    page::read_chain(index, chain, record.data(), record.size());
    set_root_centre(lists::code_at(record.data(), codec().traits.code_bytes));
}

}   // namespace quiver::ivfflat

#include "pg/pg.hpp"

#include "hnsw/meta.hpp"

#include "am/filter_columns.hpp"
#include "am/operator_class.hpp"
#include "graph/choose_encoding.hpp"
#include "hnsw/handler.hpp"
#include "hnsw/options.hpp"
#include "page/chain.hpp"

namespace quiver::hnsw {

graph::FlatLayout MetaData::flat_layout() const
{
    return {layout(), slots_per_page, page::usable_bytes};
}

// ---- a new index ----

namespace {

// Is there a codec with this number of bits per dimension?
bool is_vector_bits(int bits)
{
    return codec::find_codec({codec::Form::dense, codec::Metric::l2, 1, static_cast<uint32>(bits)});
}

// "0, 1, 2, 4, 8, 12, 16 or 32"
const char* all_vector_bits()
{
    StringInfoData list;
    initStringInfo(&list);
    int last = graph::choose_bits;
    for (int bits = last + 1; option_table.allows(&Options::vector_bits, bits); bits++)
        if (is_vector_bits(bits)) {
            appendStringInfo(&list, "%s%d", list.len > 0 ? ", " : "", last);
            last = bits;
        }
    appendStringInfo(&list, " or %d", last);
    return list.data;
}

// Checks what PostgreSQL cannot check: options that exclude each other, or that the operator class
// excludes.
void check_options(const Options& options, const am::Opclass& opclass)
{
    if (options.ef_construction < 2 * options.m)
        ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                        errmsg("ef_construction must be greater than or equal to 2 * m")));
    const codec::CodecSpec usual = {opclass.form(), opclass.metric, 64, 8};
    if (options.sketch_fold > 0 &&
        codec::sketch_shape(usual, static_cast<uint32>(options.sketch_fold)).words == 0)
        ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                        errmsg("this operator class does not support sketch_fold = %d",
                               options.sketch_fold),
                        errhint("Use the default of sketch_fold.")));
    if (options.vector_bits != graph::choose_bits && !is_vector_bits(options.vector_bits))
        ereport(ERROR,
                (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                 errmsg("vector_bits must be %s, not %d", all_vector_bits(), options.vector_bits)));
}

graph::EncodingShape choose_encoding_for(const am::Opclass& opclass, uint32 dims,
                                         uint32 filter_columns, const Options& options)
{
    graph::EncodingRequest request{static_cast<uint32>(options.m)};
    request.fold = options.sketch_fold;
    request.bits = options.vector_bits;
    request.row_bytes = dims * (opclass.element == am::ElementType::f32 ? 4 : 2);
    request.filtered = filter_columns > 0;
    const graph::EncodingShape encoding =
        graph::choose_encoding(opclass.form(), opclass.metric, dims, request, page::usable_bytes);
    const graph::Layout layout = encoding.layout();
    if (options.vector_bits != 0 && encoding.codec.bits != static_cast<uint32>(options.vector_bits))
        ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                        errmsg("this operator class does not support vector_bits = %d",
                               options.vector_bits),
                        errhint("Use the default of vector_bits.")));
    if (layout.slots_per_page(page::usable_bytes) == 0)
        ereport(ERROR,
                (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
                 errmsg("index node of %u bytes does not fit on a page", layout.slot_bytes),
                 errhint("Use a smaller m, a larger sketch_fold or a smaller vector_bits.")));
    return encoding;
}

}   // namespace

MetaData new_meta(Relation index)
{
    am::check_columns(index, access_method);
    const am::Opclass& opclass = am::opclass_of(index);
    const Options options = option_table.of(index);
    const uint32 dims = am::dimensions_of_column(index);
    check_options(options, opclass);
    const auto filter_columns =
        static_cast<uint32>(IndexRelationGetNumberOfKeyAttributes(index)) - 1;
    const graph::EncodingShape encoding =
        choose_encoding_for(opclass, dims, filter_columns, options);
    const graph::Layout layout = encoding.layout();
    MetaData meta{am::new_meta_head(access_method)};
    meta.metric = opclass.metric;
    meta.form = opclass.form();
    meta.dims = dims;
    meta.m = static_cast<uint32>(options.m);
    meta.ef_construction = static_cast<uint32>(options.ef_construction);
    meta.degree = encoding.degree;
    meta.fold = encoding.fold;
    meta.bits = static_cast<uint8>(encoding.codec.bits);
    meta.tids = encoding.tids;
    meta.slot_bytes = layout.slot_bytes;
    meta.slots_per_page = layout.slots_per_page(page::usable_bytes);
    meta.rotation_seed = 1;
    meta.entry = meta.root = graph::no_slot;
    meta.entry_level = -1;
    meta.codec_parameters = meta.pending = meta.filter_codes = InvalidBlockNumber;
    meta.first_slot_block = am::meta_block + 1;
    if (const Size bytes = parameter_bytes(encoding.codec); bytes > 0) {
        meta.codec_parameters = meta.first_slot_block;
        meta.first_slot_block += page::chain_pages(bytes);
    }
    meta.filter_columns = filter_columns;
    if (filter_columns > 0)
        meta.filter_codes = meta.first_slot_block++;
    meta.flat_centre = InvalidBlockNumber;
    if (meta.flat_layout().pages > 0)
        meta.features |= MetaData::flat_pages;
    if (const Size bytes = flat_centre_bytes(encoding); bytes > 0) {
        meta.flat_centre = meta.first_slot_block;
        meta.first_slot_block += page::chain_pages(bytes);
    }
    return meta;
}

// ---- an existing index ----

namespace {

// Is there an encoding with these values? The checks that follow compute with it.
bool has_encoding(const MetaData& meta)
{
    return codec::is_metric(meta.metric) && meta.form >= codec::Form::dense &&
           meta.form <= codec::Form::sparse && meta.dims >= 1 &&
           meta.dims <= codec::max_dims_of(meta.form) && codec::find_codec(meta.encoding().codec) &&
           meta.fold <= 64 && meta.degree >= 4 && meta.degree <= graph::max_degree &&
           meta.degree % 4 == 0 && meta.tids >= 2 && meta.tids <= graph::Layout::max_tids;
}

// Does the slot layout match the encoding?
bool fits_layout(const MetaData& meta)
{
    const graph::Layout l = meta.layout();
    const BlockNumber chains = page::chain_pages(parameter_bytes(meta.encoding().codec)) +
                               (meta.filter_columns > 0 ? 1 : 0) +
                               page::chain_pages(flat_centre_bytes(meta.encoding()));
    return l.slot_bytes == meta.slot_bytes &&
           meta.slots_per_page == l.slots_per_page(page::usable_bytes) &&
           meta.slots_per_page >= 1 && meta.first_slot_block == 1 + chains;
}

bool has_known_filter(const MetaData& meta)
{
    static_assert(page::chain_pages(codec::max_filter_codec_bytes) == 1);
    return meta.filter_columns <= codec::max_filter_columns &&
           meta.filter_bytes <= codec::max_filter_codec_bytes;
}

bool has_known_graph(const MetaData& meta)
{
    return option_table.allows(&Options::m, meta.m) &&
           option_table.allows(&Options::ef_construction, meta.ef_construction) &&
           meta.entry_level >= -1 && meta.entry_level <= graph::max_level &&
           meta.features == (meta.flat_layout().pages > 0 ? MetaData::flat_pages : 0);
}

bool is_good(const am::MetaHead& head, Relation index)
{
    const auto& meta = static_cast<const MetaData&>(head);
    return has_known_filter(meta) && has_encoding(meta) && fits_layout(meta) &&
           has_known_graph(meta) && am::has_columns(index, meta.filter_columns, meta.dims);
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

// ---- the encoding, with the codec's learnt parameters ----

IndexEncoding::IndexEncoding(Relation index, const MetaData& meta) : IndexEncoding(meta)
{
    if (Vec<half> parameters(codec().parameter_count()); !parameters.empty()) {
        page::read_chain(index, meta.codec_parameters, reinterpret_cast<char*>(parameters.data()),
                         parameters.size() * sizeof(half));
        codec().set_parameters(parameters.data());
    }
    if (Vec<char> centre(flat_centre_bytes(shape())); !centre.empty()) {
        page::read_chain(index, meta.flat_centre, centre.data(), centre.size());
        set_flat_centre(codec::code_at(centre.data(), codec().traits.code_bytes));
    }
}

}   // namespace quiver::hnsw

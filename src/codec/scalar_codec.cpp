#include "codec/scalar_codec.hpp"

#include "core/no_postgres.hpp"

namespace quiver::codec {

Owned<CodecQuery> ScalarCodec::query() const { return make_owned<ScalarCodecQuery>(*this); }

extern constinit const CodecEntry scalar_codec = entry_of<ScalarCodec>("scalar");

}   // namespace quiver::codec

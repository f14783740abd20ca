#include "core/error.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <string>

TEST(Error, KeepsCodeAndText)
{
    const quiver::Error e(quiver::Errc::corrupt, "node %d of %s", 7, "index");
    EXPECT_EQ(e.code(), quiver::Errc::corrupt);
    EXPECT_STREQ(e.what(), "node 7 of index");
}

TEST(Error, CutsLongText)
{
    const quiver::Error e(quiver::Errc::internal, "%s", std::string(1000, 'x').c_str());
    EXPECT_EQ(std::strlen(e.what()), 255u);
}

#include "pki/bootstrap_token.h"

#include <gtest/gtest.h>

using namespace redoubt::pki;

TEST(BootstrapToken, IsReadOnlyInItsForm) {
  auto token = parse_bootstrap_token("abcdef.0123456789abcdef");
  ASSERT_TRUE(token);
  EXPECT_EQ(token->id, "abcdef");
  EXPECT_EQ(token->secret, "0123456789abcdef");
  for (const char* wrong : {"", ".", "abcdef", "abcdef.", "abcde.0123456789abcdef", "abcdef.0123456789abcde",
                            "ABCDEF.0123456789abcdef", "abcdef.0123456789abcdeg.", "abcdef.0123456789abcde\n",
                            "abcdef.0123456789ABCDEF", "abcdef0123456789abcdef", "../def.0123456789abcdef"})
    EXPECT_FALSE(parse_bootstrap_token(wrong)) << wrong;
}

TEST(BootstrapToken, GeneratedOnesAreWellFormedAndDiffer) {
  BootstrapToken a = generate_bootstrap_token(), b = generate_bootstrap_token();
  EXPECT_TRUE(parse_bootstrap_token(a.text()));
  EXPECT_NE(a.secret, b.secret);
}

// The signature that upstream's cluster-bootstrap/token/jws expects of itself.
TEST(DetachedSignature, IsTheOneThatKubeadmMakes) {
  BootstrapToken token{"joshua", "my voice is my passcode"};
  EXPECT_EQ(sign_detached("Hello from the other side. I must have called a thousand times.", token),
            "eyJhbGciOiJIUzI1NiIsImtpZCI6Impvc2h1YSJ9..VShe2taLd-YTrmWuRkcL_8QTNDHYxQIEBsAYYiIj1_8");
}

TEST(DetachedSignature, HoldsForThisContentAndThisTokenOnly) {
  BootstrapToken token{"abcdef", "0123456789abcdef"}, other{"abcdef", "0123456789abcdee"};
  std::string signature = sign_detached("content", token);
  EXPECT_TRUE(verify_detached("content", signature, token));
  EXPECT_FALSE(verify_detached("content!", signature, token));
  EXPECT_FALSE(verify_detached("content", signature, other));
  EXPECT_FALSE(verify_detached("content", "", token));
  EXPECT_FALSE(verify_detached("content", "..", token));
  // {"alg":"none"}
  EXPECT_FALSE(verify_detached("content", "eyJhbGciOiJub25lIn0..", token));
  signature.back() = signature.back() == 'A' ? 'B' : 'A';
  EXPECT_FALSE(verify_detached("content", signature.substr(0, signature.size() - 2), token));
}

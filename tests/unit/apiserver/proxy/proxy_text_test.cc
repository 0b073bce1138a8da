// The proxies' plain functions of text: names, paths, links, pages, cookies, addresses.
#include <gtest/gtest.h>
#include <zlib.h>

#include "apiserver/proxy/address_guard.h"
#include "apiserver/proxy/html_rewriter.h"
#include "apiserver/proxy/page_body.h"
#include "apiserver/proxy/proxy_cookies.h"
#include "apiserver/proxy/proxy_url.h"
#include "egress/local_route.h"
#include "net/loop.h"

using namespace redoubt;
using namespace redoubt::apiserver;

namespace {

const std::string kPrefix = "/api/v1/namespaces/d/services/web/proxy";

LinkRewriter links() {
  return LinkRewriter(kPrefix, "10.0.0.1:8080", "api.example:6443");
}

std::string rewritten(std::string_view page, size_t piece = std::string_view::npos) {
  auto to = links();
  HtmlRewriter html([&](std::string_view url) { return to.rewrite(url); });
  std::string out;
  for (size_t at = 0; at < page.size(); at += std::min(piece, page.size() - at))
    out += html.feed(page.substr(at, piece));
  return out + html.finish();
}

}  // namespace

TEST(ProxyUrl, CleansPathsWithoutClimbingOut) {
  std::vector<std::pair<std::string_view, std::string_view>> cases{
      {"/", "/"},        {"/a", "/a"},     {"/a/", "/a/"},         {"//", "/"},         {"/a//b", "/a/b"},
      {"/./a", "/a"},    {"/a/..", "/"},   {"/../../x", "/x"},     {"/a/../b/", "/b/"}, {"/%2e%2E/x", "/x"},
      {"/.%2e/x", "/x"}, {"/...", "/..."}, {"/a%2f..", "/a%2f.."}, {"/a/.", "/a/"},     {"/%2e", "/"},
  };
  for (auto [from, to] : cases) EXPECT_EQ(clean_path(from), to) << from;
}

TEST(ProxyUrl, FindsThePathBehindTheProxySegmentOnly) {
  auto path = split_proxy_path("/api/v1/namespaces/d/services/web/proxy/proxy/x", 6);
  ASSERT_TRUE(path);
  EXPECT_EQ(path->prefix, kPrefix);
  EXPECT_EQ(path->path, "/proxy/x");
  EXPECT_EQ(split_proxy_path(kPrefix, 6)->path, "");
  EXPECT_FALSE(split_proxy_path("/api/v1/namespaces/d/services/web/status", 6));
  EXPECT_FALSE(split_proxy_path("/api/v1/nodes/n/proxyx", 4));
}

TEST(ProxyUrl, LeadsLinksOfTheBackendBackAndLeavesOthers) {
  std::vector<std::pair<std::string, std::string>> cases{
      {"/a", kPrefix + "/a"},
      {"/a/?q=/x#f", kPrefix + "/a/?q=/x#f"},
      {kPrefix + "/a", kPrefix + "/a"},
      {"http://10.0.0.1:8080/a", kPrefix + "/a"},
      {"//10.0.0.1:8080/a", kPrefix + "/a"},
      {"https://api.example:6443/a", "https://api.example:6443" + kPrefix + "/a"},
      {"http://elsewhere/a", "http://elsewhere/a"},
      {"//elsewhere/a", "//elsewhere/a"},
      {"http://10.0.0.1:8080@elsewhere/a", "http://10.0.0.1:8080@elsewhere/a"},
      {"a/b", "a/b"},
      {"#top", "#top"},
      {"?q", "?q"},
      {"", ""},
      {"mailto:x@y", "mailto:x@y"},
      {"javascript:/x", "javascript:/x"},
      {"/\\elsewhere", "/\\elsewhere"},
      {"/a/../../..", kPrefix + "/"},
  };
  for (auto& [from, to] : cases) EXPECT_EQ(links().rewrite(from), to) << from;
}

TEST(ProxyUrl, KnowsARedirectToAnotherHost) {
  EXPECT_FALSE(links().leads_elsewhere("/x"));
  EXPECT_FALSE(links().leads_elsewhere("x/y"));
  EXPECT_FALSE(links().leads_elsewhere("https://10.0.0.1:8080/x"));
  for (auto url :
       {"http://evil/", "//evil/", "https://10.0.0.1:8080@evil/", "https://10.0.0.1:8081/", "/\\evil", "x:y"})
    EXPECT_TRUE(links().leads_elsewhere(url)) << url;
}

TEST(HtmlRewriter, ChangesLinksAndNothingElse) {
  std::string page =
      R"(<!DOCTYPE html><html><head><base href="/b/"><script src='/s.js'>var a = "<a href='/no'>";</script>)"
      R"(<!-- <a href="/no"> --><style>a{background:url(/no)}</style><title><a href="/no"></title></head>)"
      R"(<body><A HREF=/x>/x</A><a title="/x" href = "/y?a&amp;b">y</a><img src="/i.png" alt=">"/>)"
      R"(<form action="http://10.0.0.1:8080/f"></form><div href="/no"></div> 1 < 2 <p>)";
  std::string wanted =
      R"(<!DOCTYPE html><html><head><base href="PP/b/"><script src='PP/s.js'>var a = "<a href='/no'>";</script>)"
      R"(<!-- <a href="/no"> --><style>a{background:url(/no)}</style><title><a href="/no"></title></head>)"
      R"(<body><A HREF=PP/x>/x</A><a title="/x" href = "PP/y?a&amp;b">y</a><img src="PP/i.png" alt=">"/>)"
      R"(<form action="PP/f"></form><div href="/no"></div> 1 < 2 <p>)";
  for (size_t at; (at = wanted.find("PP")) != std::string::npos;) wanted.replace(at, 2, kPrefix);
  EXPECT_EQ(rewritten(page), wanted);
  for (size_t piece : {1u, 2u, 3u, 7u, 64u}) EXPECT_EQ(rewritten(page, piece), wanted) << piece;
}

TEST(HtmlRewriter, HoldsBackNoMoreThanATag) {
  std::string page = "<a " + std::string(2 * HtmlRewriter::kMaxTagBytes, 'x') + " href=\"/a\">";
  EXPECT_EQ(rewritten(page, 1000), page);
  EXPECT_EQ(rewritten("<a href=\"/unfinished"), "<a href=\"/unfinished");
}

TEST(PageBody, UnpacksGzipAndSaysSo) {
  std::string page = "<a href=\"/x\">" + std::string(100'000, 'y');
  std::string packed(page.size() + 100, '\0');
  z_stream z{};
  ASSERT_EQ(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
  z.next_in = reinterpret_cast<Bytef*>(page.data());
  z.avail_in = static_cast<uInt>(page.size());
  z.next_out = reinterpret_cast<Bytef*>(packed.data());
  z.avail_out = static_cast<uInt>(packed.size());
  ASSERT_EQ(deflate(&z, Z_FINISH), Z_STREAM_END);
  packed.resize(z.total_out);
  deflateEnd(&z);
  net::Headers headers{
      {"content-type", "text/html; charset=utf-8"}, {"content-encoding", "gzip"}, {"content-length", "9"}};
  auto transform = page_transform(headers, std::make_shared<LinkRewriter>(links()));
  ASSERT_TRUE(transform);
  EXPECT_FALSE(headers.has("content-encoding"));
  EXPECT_FALSE(headers.has("content-length"));
  std::string out;
  for (char c : packed) out += transform(std::string_view(&c, 1), false).value();
  out += transform({}, true).value();
  EXPECT_EQ(out, "<a href=\"" + kPrefix + "/x\">" + std::string(100'000, 'y'));
}

TEST(PageBody, LeavesWhatIsNoPageAndWhatItCannotRead) {
  auto to = std::make_shared<LinkRewriter>(links());
  net::Headers json{{"content-type", "application/json"}},
      brotli{{"content-type", "text/html"}, {"content-encoding", "br"}};
  EXPECT_FALSE(page_transform(json, to));
  EXPECT_FALSE(page_transform(brotli, to));
  EXPECT_TRUE(brotli.has("content-encoding"));
  net::Headers broken{{"content-type", "text/html"}, {"content-encoding", "gzip"}};
  EXPECT_FALSE(page_transform(broken, to)("\x1f\x8b\x08nonsense that is no gzip", false).has_value());
}

TEST(ProxyCookies, StayWithTheirBackend) {
  CookieScope web(kPrefix), other("/api/v1/namespaces/d/services/other/proxy");
  net::Headers answer{{"set-cookie", "session=1; Path=/; Domain=example; HttpOnly"},
                      {"set-cookie", "b=2; path=/deep"},
                      {"set-cookie", "__Host-x=3; Secure"},
                      {"set-cookie", "nonsense"}};
  web.outward(answer);
  auto cookies = answer.get_all("set-cookie");
  ASSERT_EQ(cookies.size(), 3u);
  std::string sent;
  for (std::string_view cookie : cookies) {
    EXPECT_EQ(cookie.find("Domain"), std::string_view::npos);
    EXPECT_NE(cookie.find("; Path=" + kPrefix + "/"), std::string_view::npos) << cookie;
    if (!sent.empty()) sent += "; ";
    sent += cookie.substr(0, cookie.find(';'));
  }
  EXPECT_NE(cookies[1].find(kPrefix + "/deep"), std::string_view::npos);
  net::Headers request{{"cookie", "apiserver=secret; " + sent}};
  EXPECT_EQ(web.inward(request), "session=1; b=2; __Host-x=3");
  EXPECT_EQ(other.inward(request), "");
}

TEST(AddressGuard, RefusesWhatAProxyMustNotReach) {
  AddressGuard guard({{"10.0.0.9", 6443}, {"::1", 6443}});
  for (auto ip : {"127.0.0.1",
                  "127.8.8.8",
                  "::1",
                  "0.0.0.0",
                  "::",
                  "169.254.169.254",
                  "fe80::1",
                  "224.0.0.1",
                  "ff02::1",
                  "255.255.255.255",
                  "::ffff:127.0.0.1",
                  "::ffff:169.254.169.254",
                  "100.100.100.200",
                  "168.63.129.16",
                  "fd00:ec2::254",
                  "64:ff9b::a9fe:a9fe",
                  "2002:7f00:1::",
                  "::127.0.0.1",
                  "0.1.2.3",
                  "localhost",
                  ""})
    EXPECT_FALSE(guard.check(ip, 80).has_value()) << ip;
  for (auto ip : {"10.1.2.3", "192.168.1.1", "172.16.0.1", "203.0.113.9", "fd00::7", "2001:db8::1", "100.64.0.1"})
    EXPECT_TRUE(guard.check(ip, 80).has_value()) << ip;
  EXPECT_FALSE(guard.check("10.0.0.9", 6443).has_value());
  EXPECT_FALSE(guard.check("::ffff:10.0.0.9", 6443).has_value());
  EXPECT_TRUE(guard.check("10.0.0.9", 10250).has_value());
  EXPECT_TRUE(guard.check("127.0.0.1", 10250, true).has_value());
}

// CVE-2020-8562: a name that is looked up again for dialling may by then mean another address.
TEST(AddressGuard, GivesTheAddressThatItCheckedAndNoName) {
  AddressGuard guard({});
  net::run_until_done([&]() -> Task<void> {
    auto own = co_await guard.resolve({"localhost", 10250}, true);
    EXPECT_TRUE(own.has_value());
    if (own) EXPECT_TRUE(own->host == "127.0.0.1" || own->host == "::1") << own->host;
    EXPECT_FALSE((co_await guard.resolve({"localhost", 10250})).has_value());
    auto literal = co_await guard.resolve({"::ffff:10.1.2.3", 80});
    EXPECT_TRUE(literal.has_value());
    if (literal) EXPECT_EQ(literal->host, "10.1.2.3");
  });
}

TEST(LocalRoute, KnowsThisMachinesOwnAddresses) {
  EXPECT_TRUE(egress::stays_on_this_machine("127.0.0.1"));
  EXPECT_FALSE(egress::stays_on_this_machine("203.0.113.9"));
  EXPECT_FALSE(egress::stays_on_this_machine("no address"));
}

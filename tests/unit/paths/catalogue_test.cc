#include "paths/catalogue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>

#include "paths/explain.h"

namespace redoubt::paths {
namespace {

std::string read(const std::string& path) {
  std::ifstream file(std::string(REDOUBT_SOURCE_DIR) + "/" + path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

TEST(Catalogue, HoldsEveryPathOnceInBothLanguages) {
  std::vector<std::string> ids;
  for (const PathFacts* path : catalogue()) {
    ids.emplace_back(path->id);
    EXPECT_EQ(find_path(path->id), path);
    for (const Text& text :
         {path->from, path->to, path->link, path->carries, path->secured, path->elsewhere, path->advice, path->claim}) {
      EXPECT_FALSE(text.en.empty()) << path->id;
      EXPECT_FALSE(text.de.empty()) << path->id;
    }
  }
  EXPECT_THAT(ids, testing::ElementsAre("client-apiserver", "kubelet-apiserver", "pod-apiserver", "service-apiserver",
                                        "component-apiserver", "apiserver-kubelet", "apiserver-node", "apiserver-pod",
                                        "apiserver-service", "apiserver-webhook", "apiserver-store", "tunnel-reverse",
                                        "tunnel-konnectivity", "tunnel-ssh"));
  EXPECT_EQ(find_path("apiserver-moon"), nullptr);
}

TEST(Catalogue, NamesOnlyTestsThatThereAre) {
  for (const PathFacts* path : catalogue()) {
    for (const auto& test : path->tests)
      EXPECT_THAT(read(std::string(test.file)), testing::HasSubstr(std::string(test.name)))
          << path->id << ": " << test.file;
  }
}

TEST(Catalogue, IsWhatTheDocumentsSay) {
  // After a change of the catalogue: redoubt paths explain all > docs/paths.md, explain all --lang de >
  // docs/paths.de.md, explain evidence > docs/evidence.md.
  EXPECT_EQ(read("docs/paths.md"), catalogue_document(Language::English));
  EXPECT_EQ(read("docs/paths.de.md"), catalogue_document(Language::German));
  EXPECT_EQ(read("docs/evidence.md"), evidence_document());
}

TEST(Explain, DrawsWhoReachesWhomWithStraightSides) {
  for (Language language : {Language::English, Language::German}) {
    std::string text = explain(*find_path("tunnel-reverse"), language);
    EXPECT_THAT(text, testing::HasSubstr("# `tunnel-reverse`"));
    EXPECT_THAT(text, testing::HasSubstr("--tunnel"));
    // Every line of the box is as wide as the first, counted in characters.
    std::vector<size_t> widths;
    size_t at = text.find("    +");
    for (int i = 0; i < 4; ++i) {
      size_t end = text.find('\n', at);
      std::string_view line = std::string_view(text).substr(at, end - at);
      widths.push_back(static_cast<size_t>(
          std::ranges::count_if(line, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; })));
      at = end + 1;
    }
    EXPECT_THAT(widths, testing::Each(widths[0])) << text;
  }
}

}  // namespace
}  // namespace redoubt::paths

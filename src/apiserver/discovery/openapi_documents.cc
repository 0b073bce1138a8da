#include "apiserver/discovery/openapi_documents.h"

#include <set>

#include "base/encoding.h"
#include "net/gzip.h"
#include "schema/openapi.h"
#include "schema/openapi_protobuf.h"
#include "schema/resource.h"

namespace redoubt::apiserver {

namespace {

// What clients ask for, and what the answer is called: '@' is no character of a media type (RFC 6838), so upstream
// answers with another name than it is asked by, and takes either in a request.
constexpr std::string_view kAskedV2 = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
constexpr std::string_view kProtobufV2 = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
constexpr size_t kMaxDocumentBytes = 64 << 20;  // far above what all built-in groups need

std::string path_of(std::string_view group, std::string_view version) {
  return group.empty() ? fmt::format("/openapi/v3/api/{}", version)
                       : fmt::format("/openapi/v3/apis/{}/{}", group, version);
}

std::vector<const schema::Resource*> all_resources() {
  std::vector<const schema::Resource*> out;
  for (const schema::Resource& r : schema::builtin_resources()) out.push_back(&r);
  return out;
}

// What changes when any schema does; the built-in ones change with the program only.
std::string hash_of(std::string_view text) {
  uint64_t h = 14695981039346656037ULL;  // FNV-1a: names a version, protects nothing
  for (char c : text) h = (h ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  return fmt::format("{:016X}", h);
}

std::string v3_root() {
  std::set<std::pair<std::string_view, std::string_view>> versions;
  for (const schema::Resource& r : schema::builtin_resources()) versions.emplace(r.group, r.version);
  std::string out = "{\"paths\":{";
  for (const auto& [group, version] : versions) {
    std::string below = path_of(group, version);
    std::string names;
    for (const schema::Resource& r : schema::builtin_resources()) {
      if (r.group == group && r.version == version) names += fmt::format("{}/{};", r.name, r.kind);
    }
    if (out.back() != '{') out += ',';
    out += fmt::format(R"("{}":{{"serverRelativeURL":"{}?hash={}"}})", below.substr(sizeof "/openapi/v3/" - 1), below,
                       hash_of(names));
  }
  return out + "}}";
}

}  // namespace

Result<std::shared_ptr<const OpenApiDocuments::Document>> OpenApiDocuments::find(const std::string& path,
                                                                                 std::string_view accept) {
  bool protobuf = path == "/openapi/v2" && (accept.find(kAskedV2) != std::string_view::npos ||
                                            accept.find(kProtobufV2) != std::string_view::npos);
  std::string key = protobuf ? path + "#protobuf" : path;
  std::lock_guard lock(mutex_);
  if (auto it = made_.find(key); it != made_.end()) return it->second;
  std::string text;
  if (path == "/openapi/v2") {
    text = schema::openapi_v2(all_resources());
    if (protobuf) {
      RD_TRY(text, schema::openapi_v2_protobuf(text));
    }
  } else if (path == "/openapi/v3") {
    text = v3_root();
  } else {
    for (const schema::Resource& r : schema::builtin_resources()) {
      if (path_of(r.group, r.version) != path) continue;
      text = schema::openapi_v3(r.group, r.version, all_resources());
      break;
    }
    if (text.empty()) return page_not_found();
  }
  auto document = std::make_shared<Document>();
  document->content_type = protobuf ? std::string(kProtobufV2) : "application/json";
  document->etag = "\"" + hash_of(text) + "\"";
  document->packed = Bytes::take(net::gzip({Bytes::of_static(text)}, 6));
  return made_[key] = std::move(document);
}

Result<std::string> OpenApiDocuments::unpack(const Document& document) {
  return net::gunzip(document.packed, kMaxDocumentBytes);
}

}  // namespace redoubt::apiserver

// The OpenAPI documents of a server: made when somebody first asks, and kept packed, since they are megabytes of text
// that few ever read.
#pragma once
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/status.h"

namespace redoubt::apiserver {

class OpenApiDocuments {
 public:
  struct Document {
    std::string content_type;
    std::string etag;
    Bytes packed;  // gzip
  };
  // The document at /openapi/v2, /openapi/v3, /openapi/v3/api/v1 or /openapi/v3/apis/G/V; NotFound for another path.
  // `accept` is the request's header: /openapi/v2 has a protobuf form, which kubectl asks for. Any thread.
  Result<std::shared_ptr<const Document>> find(const std::string& path, std::string_view accept);
  // The text of a document, for a client that takes no gzip.
  static Result<std::string> unpack(const Document& document);

 private:
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<const Document>> made_;
};

}  // namespace redoubt::apiserver

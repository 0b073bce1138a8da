// A request that the server makes of itself, through the same handlers as everybody's.
#pragma once
#include <string>

#include "apiserver/context.h"
#include "net/http.h"

namespace redoubt::apiserver {

// As system:apiserver, of group system:masters, for a v1 resource. What is answered goes nowhere: the handlers that
// return objects are used. Stays where it is made.
class OwnRequest {
 public:
  OwnRequest(std::string verb, const std::string& group, const std::string& resource, const std::string& ns,
             const std::string& name);
  OwnRequest(const OwnRequest&) = delete;
  OwnRequest& operator=(const OwnRequest&) = delete;

 private:
  class NoResponder : public net::Responder {
   public:
    Task<Result<void>> send(int status, net::Headers headers, BytesList body) override;
    Task<Result<std::unique_ptr<net::BodyWriter>>> start(int status, net::Headers headers) override;
    Task<Result<net::StreamPtr>> upgrade(net::Headers headers) override;
    bool started() const override { return true; }
  };
  net::Request request_;
  NoResponder nobody_;

 public:
  Context context;
};

}  // namespace redoubt::apiserver

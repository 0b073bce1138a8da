#include "apiserver/own_request.h"

namespace redoubt::apiserver {

Task<Result<void>> OwnRequest::NoResponder::send(int, net::Headers, BytesList) {
  co_return Result<void>{};
}
Task<Result<std::unique_ptr<net::BodyWriter>>> OwnRequest::NoResponder::start(int, net::Headers) {
  co_return internal_error("no client");
}
Task<Result<net::StreamPtr>> OwnRequest::NoResponder::upgrade(net::Headers) {
  co_return internal_error("no client");
}

OwnRequest::OwnRequest(std::string verb, const std::string& group, const std::string& resource, const std::string& ns,
                       const std::string& name)
    : context{request_, nobody_} {
  context.resource = schema::find_resource(group, "v1", resource);
  context.info.verb = std::move(verb);
  context.info.group = group;
  context.info.version = "v1";
  context.info.resource = resource;
  context.info.namespace_ = ns;
  context.info.name = name;
  context.user.name = "system:apiserver";
  context.user.groups = {"system:masters"};
}

}  // namespace redoubt::apiserver

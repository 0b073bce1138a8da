#include "cmd/konnectivity/authorize.h"

#include <algorithm>

#include "egress/konnectivity/header.h"
#include "schema/k8s/authentication_v1.h"

namespace redoubt::cmd {

namespace {

// Anybody who reaches the port can make us ask; more at once are turned away.
constexpr size_t kMaxReviews = 64;

struct Wanted {
  std::string ns, name, audience;
  mutable size_t under_way = 0;  // of the server's loop
};

struct UnderWay {
  explicit UnderWay(size_t& c) : count(c) { ++count; }
  ~UnderWay() { --count; }
  UnderWay(const UnderWay&) = delete;
  UnderWay& operator=(const UnderWay&) = delete;
  size_t& count;
};

Task<Result<std::string>> review(std::shared_ptr<client::Client> api, std::shared_ptr<const Wanted> wanted,
                                 std::string authorization) {
  constexpr std::string_view kScheme = "Bearer ";
  if (!authorization.starts_with(kScheme)) co_return unauthorized("received token does not have \"Bearer \" prefix");
  if (wanted->under_way >= kMaxReviews)
    co_return too_many_requests(fmt::format("{} token reviews are under way; try again", kMaxReviews), 1);
  UnderWay counted(wanted->under_way);
  k8s::authentication::v1::TokenReview request;
  request.spec.token = authorization.substr(kScheme.size());
  request.spec.audiences = {wanted->audience};
  auto answer = co_await api->create(std::move(request));
  if (!answer)
    co_return service_unavailable(fmt::format("failed to authenticate request: {}", answer.error().message()));
  const auto& status = answer->status;
  if (!status.error.empty()) co_return unauthorized("lookup failed: " + status.error);
  if (!status.authenticated) co_return unauthorized("lookup failed: service account jwt not valid");
  // An API server that knows no audiences would let a token for anybody pass.
  if (std::find(status.audiences.begin(), status.audiences.end(), wanted->audience) == status.audiences.end())
    co_return unauthorized(fmt::format("lookup failed: the token is not for audience {}", wanted->audience));
  std::string expected = fmt::format("system:serviceaccount:{}:{}", wanted->ns, wanted->name);
  if (status.user.username != expected) {
    co_return unauthorized(
        fmt::format("lookup failed: incoming request from \"{}\". Expected \"{}\"", status.user.username, expected));
  }
  co_return status.user.username;
}

}  // namespace

konnectivity::Server::AuthorizeAgent authorize_by_token(std::shared_ptr<client::Client> api, std::string ns,
                                                        std::string name, std::string audience) {
  auto wanted = std::make_shared<const Wanted>(Wanted{std::move(ns), std::move(name), std::move(audience)});
  return [api, wanted](const net::Headers& metadata, const net::ConnectionInfo&,
                       const konnectivity::Identifiers&) -> Task<Result<std::string>> {
    auto tokens = metadata.get_all(konnectivity::kAuthorization);
    return review(api, wanted, tokens.size() == 1 ? std::string(tokens[0]) : std::string());
  };
}

}  // namespace redoubt::cmd

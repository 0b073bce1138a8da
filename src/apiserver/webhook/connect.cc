// Subresources as webhooks see them: pods/exec and its like by the request's parameters, others by their own object.
#include "apiserver/rest.h"
#include "apiserver/webhook/admission_webhooks.h"

namespace redoubt::apiserver {

namespace {

Value options_of(Context& c) {
  Value out = Value::object(c.arena);
  out.set(c.arena, "kind", Value::string(c.subresource->kind));
  out.set(c.arena, "apiVersion", Value::string("v1"));
  if (c.info.subresource == "proxy") {
    std::string path;
    for (const std::string& segment : c.info.rest) path += "/" + segment;
    out.set(c.arena, "path", Value::string(c.arena.copy(path)));
    return out;
  }
  for (const auto& [key, value] : c.query) {
    std::string_view name = c.arena.copy(key);
    if (key == "command" || key == "ports") {
      if (!out.get({name}).is_array()) out.set(c.arena, name, Value::array(c.arena));
      Value* list = out.find(name);
      list->push_back(c.arena, key == "ports" ? Value::integer(std::strtoll(value.c_str(), nullptr, 10))
                                              : Value::string(c.arena.copy(value)));
    } else if (key == "stdin" || key == "stdout" || key == "stderr" || key == "tty") {
      out.set(c.arena, name, Value::boolean(c.flag(key)));
    } else if (key == "container") {
      out.set(c.arena, name, Value::string(c.arena.copy(value)));
    }
  }
  return out;
}

}  // namespace

Task<Result<void>> Rest::admit_part(Context& c, std::string_view operation, Value old, Value& object) {
  if (webhooks_ == nullptr) co_return Result<void>{};
  AdmissionWebhooks::Change change{operation, old, !c.param("dryRun").empty()};
  RD_CO_TRYV(co_await webhooks_->mutate(c, change, object));
  co_return co_await webhooks_->validate(c, change, object);
}

Task<Result<void>> Rest::admit_connect(Context& c) {
  if (webhooks_ == nullptr || c.subresource == nullptr || !c.subresource->connect) co_return Result<void>{};
  Value object = options_of(c);
  AdmissionWebhooks::Change change{"CONNECT", {}, false};
  RD_CO_TRYV(co_await webhooks_->mutate(c, change, object));
  co_return co_await webhooks_->validate(c, change, object);
}

}  // namespace redoubt::apiserver

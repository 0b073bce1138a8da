#include "apiserver/own_objects.h"

#include "apiserver/own_request.h"

namespace redoubt::apiserver {

Task<Result<void>> ensure_object(Rest& rest, OwnObject wanted) {
  OwnRequest own("create", wanted.group, wanted.resource, wanted.ns, wanted.name);
  Context& c = own.context;
  RD_CO_TRY(Value object, rest.decode(c, wanted.json, *c.resource->type, c.resource->api_version(), c.resource->kind));
  auto there =
      rest.store().snapshot(c.resource->storage_prefix)->find(storage_key(*c.resource, wanted.ns, wanted.name));
  if (!there) {
    auto made = co_await rest.create_object(c, object.clone(c.arena));
    if (made) co_return Result<void>{};
    if (!made.error().is("AlreadyExists"))
      co_return Error(made.error().with_context(wanted.resource + "/" + wanted.name));
  }
  if (!wanted.keep_current) co_return Result<void>{};
  c.info.verb = "update";
  auto changed = co_await rest.modify(
      c,
      [&](Value& there, const Value&) -> Result<void> {
        if (there.get({"metadata", "annotations", "rbac.authorization.kubernetes.io/autoupdate"}).as_string() ==
            "false")
          return {};
        // Missing rules and subjects come back; what an administrator added stays.
        for (const char* list : {"rules", "subjects"}) {
          for (const Value& item : schema::items(object.get({list}))) {
            bool has = false;
            for (const Value& t : schema::items(there.get({list}))) has = has || t.equals(item);
            if (has) continue;
            if (!there.get({list}).is_array()) there.set(c.arena, list, Value::array(c.arena));
            there.find(list)->push_back(c.arena, item);
          }
        }
        for (const char* part : {"subsets", "endpoints", "ports", "addressType", "data"}) {
          if (Value* v = object.find(part)) there.set(c.arena, part, *v);
        }
        return {};
      },
      false);
  if (!changed) co_return Error(changed.error().with_context(wanted.resource + "/" + wanted.name));
  co_return Result<void>{};
}

}  // namespace redoubt::apiserver

// Answers: objects and lists in the form and view that was asked for, watch events as shared frames.
#pragma once
#include <functional>

#include "apiserver/context.h"
#include "base/bytes.h"
#include "store/store.h"

namespace redoubt::apiserver {

struct Encoded {
  std::string content_type;
  BytesList body;
};

// A stored object as the request's version of the resource shows it. JSON of the stored version is the stored bytes
// themselves.
Result<Encoded> encode_object(const Context& context, const store::Object& object);
// A tree that is not stored (reviews, dry runs, subresources of other kinds). `type` null: members in their order.
Result<Encoded> encode_value(const Context& context, const schema::Value& value, const schema::Type* type);

struct ListMeta {
  store::Revision revision = 0;
  std::string continue_token;
  uint64_t remaining = 0;
};
Result<Encoded> encode_list(const Context& context, const std::vector<store::ObjectPtr>& objects, const ListMeta& meta);

enum class WatchType { Added, Modified, Deleted, Bookmark };
// Adds one event's frame to `into`: the stored bytes themselves where they are what is asked for; any other form is
// made once and shared by all watchers. `event` null: a snapshot's object.
Result<void> append_event(BytesList& into, const Context& context, WatchType type, const store::ObjectPtr& object,
                          const store::Event* event);
Bytes encode_bookmark(const Context& context, store::Revision revision, bool initial_events_end);
Bytes encode_error_event(const Context& context, const Status& status);
std::string content_type_of(const Context& context, bool watch);

// A whole answer with its headers: warnings, and the body compressed where the client takes that and it pays.
struct WholeAnswer {
  net::Headers headers;
  BytesList body;
};
WholeAnswer whole_answer(Context& context, Encoded encoded);

// Answers with a Status in the form asked for.
Task<void> send_status(Context& context, const Status& status);
Task<void> send_encoded(Context& context, int code, Encoded encoded);

}  // namespace redoubt::apiserver

#include "apiserver/encode.h"

#include "apiserver/conversion.h"
#include "apiserver/pipeline/audit.h"
#include "apiserver/protobuf_forms.h"
#include "apiserver/tables/tables.h"
#include "base/json_text.h"
#include "net/gzip.h"
#include "schema/protobuf_list.h"

namespace redoubt::apiserver {

namespace {

using schema::Arena;
using schema::Value;

constexpr size_t kGzipFrom = 128 * 1024;  // upstream's threshold

// True when the stored bytes are what this request wants.
bool stored_as_is(const Context& c) {
  return c.resource == nullptr || c.resource->storage_version == c.resource->version;
}

// True when the stored JSON is the answer.
bool is_stored_json(const Context& c) {
  return c.view == View::Object && c.form == Form::Json && stored_as_is(c);
}

Result<Value> value_of(const Context& c, const store::Object& object, Arena& arena) {
  RD_TRY(Value value, schema::parse_json(object.json, arena, {.max_bytes = SIZE_MAX}));
  if (!stored_as_is(c)) RD_TRYV(convert_from_stored(value, *c.resource, arena));
  return value;
}

std::string partial_metadata(std::string_view metadata_json) {
  return fmt::format("{{\"kind\":\"PartialObjectMetadata\",\"apiVersion\":\"meta.k8s.io/v1\",\"metadata\":{}}}",
                     metadata_json);
}

Result<std::string> in_form(Form form, const Value& value, const schema::Type* type, const std::string& json) {
  switch (form) {
    case Form::Json:
      return json;
    case Form::Yaml:
      return schema::to_yaml(value);
    case Form::Protobuf:
      if (type == nullptr) return not_acceptable("this has no protobuf form");
      return schema::to_protobuf(value, *type);
  }
  return json;
}

BytesList one(std::string text) {
  BytesList out;
  out.push_back(Bytes::take(std::move(text)));
  return out;
}

std::string list_meta_json(const ListMeta& meta) {
  std::string out = fmt::format("{{\"resourceVersion\":\"{}\"", meta.revision);
  if (!meta.continue_token.empty()) {
    out += ",\"continue\":";
    append_json_string(out, meta.continue_token);
  }
  if (meta.remaining > 0) out += fmt::format(",\"remainingItemCount\":{}", meta.remaining);
  return out + "}";
}

// The list's type, for its protobuf form.
const schema::Type* list_type(const schema::Resource& resource) {
  return schema::find_type(std::string(resource.type->name) + "List");
}

}  // namespace

std::string content_type_of(const Context& c, bool watch) {
  if (c.form == Form::Protobuf && c.view == View::Object)
    return watch ? "application/vnd.kubernetes.protobuf;stream=watch" : "application/vnd.kubernetes.protobuf";
  if (c.form == Form::Yaml) return "application/yaml";
  return "application/json";
}

Result<Encoded> encode_value(const Context& c, const Value& value, const schema::Type* type) {
  RD_TRY(std::string text,
         in_form(c.form, value, type, c.form == Form::Json ? schema::to_json(value, type) : std::string()));
  return Encoded{content_type_of(c, false), one(std::move(text))};
}

Result<Encoded> encode_object(const Context& c, const store::Object& object) {
  if (is_stored_json(c)) {
    BytesList body;
    body.push_back(object.json);
    return Encoded{"application/json", std::move(body)};
  }
  Arena arena;
  RD_TRY(Value value, value_of(c, object, arena));
  if (c.view == View::Table) {
    std::string out;
    append_table_head(out, *c.resource, fmt::format("{{\"resourceVersion\":\"{}\"}}", object.revision), true);
    append_table_row(out, *c.resource, value, c.param("includeObject"));
    out += "]}";
    return Encoded{"application/json", one(std::move(out))};
  }
  if (c.view == View::PartialMetadata) {
    const schema::Type* meta = schema::find_type("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta");
    return Encoded{"application/json", one(partial_metadata(schema::to_json(value.get({"metadata"}), meta)))};
  }
  return encode_value(c, value, c.resource->type);
}

namespace {

// The items' messages as they are kept, spliced.
Result<Encoded> protobuf_list(const Context& c, const std::vector<store::ObjectPtr>& objects, const ListMeta& meta) {
  const schema::Resource& resource = *c.resource;
  const schema::Type* type = list_type(resource);
  if (type == nullptr) return not_acceptable("this has no protobuf form");
  Arena arena;
  std::string text = list_meta_json(meta);
  RD_TRY(Value metadata, schema::parse_json(text, arena));
  Value head = Value::object(arena);
  head.set(arena, "metadata", metadata);
  RD_TRY(std::string message, schema::to_protobuf_message(head, *type));
  Encoded out{content_type_of(c, false), {}};
  out.body.reserve(objects.size() + 3);
  out.body.emplace_back();  // the envelope, once the size is known
  out.body.push_back(Bytes::take(std::move(message)));
  for (const store::ObjectPtr& object : objects) {
    RD_TRY(Bytes item, protobuf_item_of(object, *resource.type, *type));
    out.body.push_back(std::move(item));
  }
  auto envelope = schema::protobuf_envelope(resource.api_version(), resource.list_kind, total_size(out.body));
  out.body.front() = Bytes::take(std::move(envelope.before));
  out.body.push_back(Bytes::of_static(envelope.after));
  return out;
}

}  // namespace

Result<Encoded> encode_list(const Context& c, const std::vector<store::ObjectPtr>& objects, const ListMeta& meta) {
  const schema::Resource& resource = *c.resource;
  if (is_stored_json(c)) {
    // Stored bytes go out as they are; items keep their kind and apiVersion, which every client takes.
    BytesList body;
    body.reserve(objects.size() * 2 + 2);
    body.push_back(Bytes::take(fmt::format("{{\"kind\":\"{}\",\"apiVersion\":\"{}\",\"metadata\":{},\"items\":[",
                                           resource.list_kind, resource.api_version(), list_meta_json(meta))));
    for (size_t i = 0; i < objects.size(); ++i) {
      if (i > 0) body.push_back(Bytes::of_static(","));
      body.push_back(objects[i]->json);
    }
    body.push_back(Bytes::of_static("]}"));
    return Encoded{"application/json", std::move(body)};
  }
  std::string out;
  if (c.view == View::Table) {
    append_table_head(out, resource, list_meta_json(meta), true);
    for (size_t i = 0; i < objects.size(); ++i) {
      Arena arena;
      RD_TRY(Value value, value_of(c, *objects[i], arena));
      if (i > 0) out += ',';
      append_table_row(out, resource, value, c.param("includeObject"));
    }
    out += "]}";
    return Encoded{"application/json", one(std::move(out))};
  }
  if (c.view == View::PartialMetadata) {
    const schema::Type* type = schema::find_type("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta");
    out = fmt::format(
        "{{\"kind\":\"PartialObjectMetadataList\",\"apiVersion\":\"meta.k8s.io/v1\",\"metadata\":{},\"items\":[",
        list_meta_json(meta));
    for (size_t i = 0; i < objects.size(); ++i) {
      Arena arena;
      RD_TRY(Value value, schema::parse_json(objects[i]->json, arena, {.max_bytes = SIZE_MAX}));
      if (i > 0) out += ',';
      out += partial_metadata(schema::to_json(value.get({"metadata"}), type));
    }
    out += "]}";
    return Encoded{"application/json", one(std::move(out))};
  }
  if (c.form == Form::Protobuf && stored_as_is(c)) return protobuf_list(c, objects, meta);
  Arena arena;
  Value list = Value::object(arena);
  list.set(arena, "kind", Value::string(resource.list_kind));
  list.set(arena, "apiVersion", Value::string(arena.copy(resource.api_version())));
  RD_TRY(Value metadata, schema::parse_json(arena.copy(list_meta_json(meta)), arena));
  list.set(arena, "metadata", metadata);
  Value items = Value::array(arena);
  for (const store::ObjectPtr& object : objects) {
    RD_TRY(Value value, value_of(c, *object, arena));
    items.push_back(arena, value);
  }
  list.set(arena, "items", items);
  return encode_value(c, list, list_type(resource));
}

namespace {

std::string_view word(WatchType type) {
  switch (type) {
    case WatchType::Added:
      return "ADDED";
    case WatchType::Modified:
      return "MODIFIED";
    case WatchType::Deleted:
      return "DELETED";
    case WatchType::Bookmark:
      return "BOOKMARK";
  }
  return "";
}

std::string_view json_frame_head(WatchType type) {
  switch (type) {
    case WatchType::Added:
      return R"({"type":"ADDED","object":)";
    case WatchType::Modified:
      return R"({"type":"MODIFIED","object":)";
    default:
      return R"({"type":"DELETED","object":)";
  }
}

// Frames of one event, by type, form and view; a watcher with a selector may see another type than the rest.
struct Frames {
  std::map<std::tuple<int, int, int, std::string>, Bytes> by_encoding;
};

void append_length(std::string& out, size_t n) {
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(n >> shift);
}

// A meta.v1.WatchEvent behind a four-byte length; no magic of its own.
std::string protobuf_frame(std::string_view type, std::string_view object) {
  std::string event = schema::watch_event_protobuf(type, object), out;
  append_length(out, event.size());
  return out + event;
}

Result<Bytes> make_frame(const Context& c, WatchType type, const store::Object& object) {
  if (c.form == Form::Protobuf && c.view == View::Object) {
    Arena arena;
    RD_TRY(Value value, value_of(c, object, arena));
    RD_TRY(std::string bytes, schema::to_protobuf(value, *c.resource->type));
    return Bytes::take(protobuf_frame(word(type), bytes));
  }
  RD_TRY(Encoded encoded, encode_object(c, object));
  std::string out = fmt::format("{{\"type\":\"{}\",\"object\":", word(type));
  out.reserve(out.size() + total_size(encoded.body) + 2);
  for (const Bytes& piece : encoded.body) out += piece.view();
  if (out.ends_with('\n')) out.pop_back();
  out += "}\n";
  return Bytes::take(std::move(out));
}

}  // namespace

Result<void> append_event(BytesList& into, const Context& c, WatchType type, const store::ObjectPtr& object,
                          const store::Event* event) {
  if (is_stored_json(c)) {
    into.push_back(Bytes::of_static(json_frame_head(type)));
    into.push_back(object->json);
    into.push_back(Bytes::of_static("}\n"));
    return {};
  }
  if (event == nullptr) {
    RD_TRY(Bytes frame, make_frame(c, type, *object));
    into.push_back(std::move(frame));
    return {};
  }
  auto key = std::make_tuple(static_cast<int>(type), static_cast<int>(c.form), static_cast<int>(c.view),
                             std::string(stored_as_is(c) ? "" : c.resource->version) +
                                 (c.view == View::Table ? std::string(c.param("includeObject")) : ""));
  auto known = std::static_pointer_cast<const Frames>(event->frames.load());
  if (known) {
    auto it = known->by_encoding.find(key);
    if (it != known->by_encoding.end()) {
      into.push_back(it->second);
      return {};
    }
  }
  RD_TRY(Bytes frame, make_frame(c, type, *object));
  // Two loops may make the same frame at once; either is right, and one of them stays.
  auto grown = known ? std::make_shared<Frames>(*known) : std::make_shared<Frames>();
  grown->by_encoding[key] = frame;
  event->frames.store(std::shared_ptr<const void>(std::move(grown)));
  into.push_back(std::move(frame));
  return {};
}

Bytes encode_bookmark(const Context& c, store::Revision revision, bool initial_events_end) {
  Arena arena;
  std::string annotations = initial_events_end ? ",\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}" : "";
  std::string kind(c.resource->kind), version = c.resource->api_version();
  std::string object = fmt::format(
      "{{\"kind\":\"{}\",\"apiVersion\":\"{}\",\"metadata\":{{\"resourceVersion\":\"{}\",\"creationTimestamp\":null{}}}"
      "}}",
      kind, version, revision, annotations);
  if (c.view == View::Table) {
    std::string table;
    append_table_head(table, *c.resource, fmt::format("{{\"resourceVersion\":\"{}\"}}", revision), false);
    table += fmt::format("{{\"cells\":[],\"object\":{}}}]}}", object);
    return Bytes::take(fmt::format("{{\"type\":\"BOOKMARK\",\"object\":{}}}\n", table));
  }
  if (c.form == Form::Protobuf && c.view == View::Object) {
    auto value = schema::parse_json(object, arena);
    if (value) {
      auto bytes = schema::to_protobuf(*value, *c.resource->type);
      if (bytes) return Bytes::take(protobuf_frame("BOOKMARK", *bytes));
    }
    return {};
  }
  return Bytes::take(fmt::format("{{\"type\":\"BOOKMARK\",\"object\":{}}}\n", object));
}

Bytes encode_error_event(const Context& c, const Status& status) {
  std::string json = status.to_json();
  if (c.form == Form::Protobuf && c.view == View::Object) {
    Arena arena;
    auto value = schema::parse_json(json, arena);
    auto bytes = schema::to_protobuf(*value, *schema::find_type("io.k8s.apimachinery.pkg.apis.meta.v1.Status"));
    return bytes ? Bytes::take(protobuf_frame("ERROR", *bytes)) : Bytes();
  }
  json.pop_back();
  return Bytes::take(fmt::format("{{\"type\":\"ERROR\",\"object\":{}}}\n", json));
}

namespace {

// Warning: 299 - "text" (RFC 7234, 5.5), as kubectl prints it.
void add_warnings(const Context& c, net::Headers& headers) {
  for (const std::string& warning : c.warnings) {
    std::string quoted;
    append_json_string(quoted, warning);
    headers.add("warning", "299 - " + quoted);
  }
}

}  // namespace

WholeAnswer whole_answer(Context& c, Encoded encoded) {
  net::Headers headers{{"content-type", encoded.content_type}, {"cache-control", "no-cache, private"}};
  add_warnings(c, headers);
  if (c.audit != nullptr) c.audit->answered(encoded.content_type, encoded.body);
  if (c.request.method == "GET" && total_size(encoded.body) >= kGzipFrom &&
      c.request.headers.has_token("accept-encoding", "gzip")) {
    headers.add("content-encoding", "gzip");
    headers.add("vary", "Accept-Encoding");
    encoded.body = one(net::gzip(encoded.body, 1));
  }
  return {std::move(headers), std::move(encoded.body)};
}

Task<void> send_encoded(Context& c, int code, Encoded encoded) {
  WholeAnswer answer = whole_answer(c, std::move(encoded));
  co_await c.responder.send(code, std::move(answer.headers), std::move(answer.body));
}

Task<void> send_status(Context& c, const Status& status) {
  if (c.audit != nullptr) c.audit->failed(status);
  std::string json = status.to_json();
  std::string content_type = "application/json";
  if (c.form == Form::Protobuf) {
    Arena arena;
    auto value = schema::parse_json(json, arena);
    auto bytes = value ? schema::to_protobuf(*value, *schema::find_type("io.k8s.apimachinery.pkg.apis.meta.v1.Status"))
                       : Result<std::string>(json);
    if (bytes) {
      json = std::move(*bytes);
      content_type = "application/vnd.kubernetes.protobuf";
    }
  }
  net::Headers headers{{"content-type", content_type}, {"cache-control", "no-cache, private"}};
  add_warnings(c, headers);
  if (status.details().retry_after_seconds > 0)
    headers.add("retry-after", std::to_string(status.details().retry_after_seconds));
  co_await c.responder.send(status.code(), std::move(headers), one(std::move(json)));
}

}  // namespace redoubt::apiserver

#include <charconv>

#include "apiserver/rest.h"
#include "base/encoding.h"
#include "base/random.h"

namespace redoubt::apiserver {

namespace {

// A continue token: the revision of the first page and the key to go on after, as base64 of "REVISION KEY".
std::string make_continue(store::Revision revision, std::string_view last_key) {
  return base64url_encode(fmt::format("{} {}", revision, last_key));
}

bool parse_continue(std::string_view token, store::Revision& revision, std::string& last_key) {
  auto text = base64url_decode(token);
  if (!text) return false;
  size_t blank = text->find(' ');
  if (blank == std::string::npos || std::from_chars(text->data(), text->data() + blank, revision).ec != std::errc())
    return false;
  last_key = text->substr(blank + 1);
  return true;
}

Result<store::Revision> parse_revision(std::string_view text) {
  store::Revision out = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error != std::errc() || end != text.data() + text.size())
    return bad_request(fmt::format("Invalid value: \"{}\": invalid resource version", text));
  return out;
}

}  // namespace

Result<void> Rest::check_selectors(const Context& c, LabelSelector& labels, FieldSelector& fields) const {
  RD_TRY(labels, LabelSelector::parse(c.param("labelSelector")));
  RD_TRY(fields, FieldSelector::parse(c.param("fieldSelector")));
  const KindHooks& hooks = hooks_for(c.resource->group, c.resource->name);
  for (const FieldSelector::Term& term : fields.terms()) {
    bool known = term.field == "metadata.name" || (term.field == "metadata.namespace" && c.resource->namespaced);
    for (std::string_view label : hooks.field_labels) known = known || label == term.field;
    if (!known) return bad_request(fmt::format("field label not supported: {}", term.field));
  }
  return {};
}

Result<std::vector<store::ObjectPtr>> Rest::select(Context& c, const store::SnapshotPtr& snapshot,
                                                   std::string_view from, size_t limit, bool& more,
                                                   uint64_t& remaining) {
  LabelSelector labels;
  FieldSelector fields;
  RD_TRYV(check_selectors(c, labels, fields));
  std::string prefix =
      storage_prefix(*c.resource, c.resource->namespaced ? std::string_view(c.info.namespace_) : std::string_view());
  std::vector<store::ObjectPtr> out;
  more = false;
  remaining = 0;
  bool plain = labels.empty() && fields.empty();
  snapshot->visit(prefix, from, [&](const store::ObjectPtr& object) {
    if (!plain && (!labels.matches(object->labels) || !fields.matches(*object))) return true;
    if (limit > 0 && out.size() == limit) {
      more = true;
      if (!plain) return false;
      ++remaining;
      return true;
    }
    out.push_back(object);
    return true;
  });
  return out;
}

Result<Encoded> Rest::read(const Context& c) const {
  auto object =
      store_.snapshot(c.resource->storage_prefix)->find(storage_key(*c.resource, c.info.namespace_, c.info.name));
  if (!object) return not_found(c.group_resource(), c.info.name);
  return encode_object(c, *object);
}

Task<void> Rest::get(Context& c) {
  auto encoded = read(c);
  if (!encoded) co_return co_await send_status(c, encoded.error());
  co_await send_encoded(c, 200, std::move(*encoded));
}

Task<void> Rest::list(Context& c) {
  auto fail = [&c](const Status& status) { return send_status(c, status); };
  size_t limit = 0;
  if (auto text = c.param("limit"); !text.empty()) {
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), limit);
    if (error != std::errc() || end != text.data() + text.size())
      co_return co_await fail(bad_request(fmt::format("limit: Invalid value: \"{}\"", text)).error());
  }
  std::string_view version = c.param("resourceVersion"), match = c.param("resourceVersionMatch"),
                   token = c.param("continue");
  if (!match.empty() && match != "Exact" && match != "NotOlderThan") {
    co_return co_await fail(
        bad_request(
            fmt::format(
                "resourceVersionMatch: Unsupported value: \"{}\": supported values: \"Exact\", \"NotOlderThan\"",
                match))
            .error());
  }
  if (!match.empty() && version.empty())
    co_return co_await fail(
        bad_request("resourceVersionMatch is forbidden unless resourceVersion is provided").error());
  store::SnapshotPtr snapshot;
  store::Revision revision = 0;
  std::string from;
  if (!token.empty()) {
    std::string last;
    if (!parse_continue(token, revision, last))
      co_return co_await fail(bad_request("continue key is not valid").error());
    auto old = store_.snapshot_at(c.resource->storage_prefix, revision);
    if (!old) {
      co_return co_await fail(gone("The provided continue parameter is too old to display a consistent list result. "
                                   "You can start a new list without the continue parameter.")
                                  .error());
    }
    snapshot = *old;
    from = last + '\0';
  } else if (match == "Exact") {
    auto wanted = parse_revision(version);
    if (!wanted) co_return co_await fail(wanted.error());
    auto old = store_.snapshot_at(c.resource->storage_prefix, *wanted);
    if (!old) co_return co_await fail(old.error());
    snapshot = *old;
    revision = *wanted;
  } else {
    if (!version.empty()) {
      auto wanted = parse_revision(version);
      if (!wanted) co_return co_await fail(wanted.error());
      if (*wanted > store_.current_revision())
        co_return co_await fail(
            timeout(fmt::format("Too large resource version: {}, current: {}", *wanted, store_.current_revision()), 1)
                .error());
    }
    snapshot = store_.snapshot(c.resource->storage_prefix);
    revision = snapshot->revision();
  }
  bool more = false;
  ListMeta meta;
  auto selected = select(c, snapshot, from, limit, more, meta.remaining);
  if (!selected) co_return co_await fail(selected.error());
  meta.revision = revision;
  if (more && !selected->empty()) meta.continue_token = make_continue(revision, selected->back()->key);
  auto encoded = encode_list(c, *selected, meta);
  if (!encoded) co_return co_await fail(encoded.error());
  co_await send_encoded(c, 200, std::move(*encoded));
}

namespace {

// Whom a watcher sees, and as what: an object that begins to match is ADDED, one that no longer does is DELETED.
struct Filter {
  LabelSelector labels;
  FieldSelector fields;
  std::string prefix;
  bool matches(const store::Object& o) const {
    return std::string_view(o.key).starts_with(prefix) && labels.matches(o.labels) && fields.matches(o);
  }

  std::optional<WatchType> see(const store::Event& event) const {
    bool now = event.type != store::Event::Type::Deleted && matches(*event.object);
    bool before = event.previous ? matches(*event.previous) : false;
    if (event.type == store::Event::Type::Deleted) return before ? std::optional(WatchType::Deleted) : std::nullopt;
    if (now && before) return WatchType::Modified;
    if (now) return WatchType::Added;
    if (before) return WatchType::Deleted;
    return std::nullopt;
  }
};

}  // namespace

Task<void> Rest::watch(Context& c) {
  auto filter = std::make_shared<Filter>();
  if (auto ok = check_selectors(c, filter->labels, filter->fields); !ok) co_return co_await send_status(c, ok.error());
  filter->prefix =
      storage_prefix(*c.resource, c.resource->namespaced ? std::string_view(c.info.namespace_) : std::string_view());
  if (c.form == Form::Yaml)
    co_return co_await send_status(c, not_acceptable("a watch can't be answered in YAML").error());
  // Upstream ends a watch after 30 to 60 minutes unless the client says when.
  int64_t timeout_seconds = 1800 + static_cast<int64_t>(random_below(1800));
  if (auto text = c.param("timeoutSeconds"); !text.empty()) {
    int64_t asked = 0;
    if (std::from_chars(text.data(), text.data() + text.size(), asked).ec != std::errc())
      co_return co_await send_status(c, bad_request("timeoutSeconds is no number").error());
    if (asked > 0) timeout_seconds = asked;
  }
  bool bookmarks = c.flag("allowWatchBookmarks");
  std::string_view version = c.param("resourceVersion");
  bool initial = c.flag("sendInitialEvents") || version.empty() || version == "0";
  store::Revision start = 0;
  store::SnapshotPtr snapshot;
  if (!version.empty() && version != "0") {
    auto wanted = parse_revision(version);
    if (!wanted) co_return co_await send_status(c, wanted.error());
    start = *wanted;
    if (start > store_.current_revision()) {
      co_return co_await send_status(
          c, timeout(fmt::format("Too large resource version: {}, current: {}", start, store_.current_revision()), 1)
                 .error());
    }
  }
  if (c.param("sendInitialEvents") == "false" && version.empty()) {
    initial = false;
    start = store_.current_revision();
  }
  if (initial) {
    snapshot = store_.snapshot(c.resource->storage_prefix);
    start = snapshot->revision();
  }
  auto cursor = store_.watch(c.resource->storage_prefix, start);
  auto started = co_await c.responder.start(
      200, {{"content-type", content_type_of(c, true)}, {"cache-control", "no-cache, private"}});
  if (!started) co_return;
  auto& writer = **started;
  if (!cursor) {
    BytesList pieces;
    pieces.push_back(encode_error_event(c, cursor.error()));
    co_await writer.write(std::move(pieces));
    co_await writer.finish();
    co_return;
  }
  store::Revision sent = start;
  if (initial) {
    std::vector<store::ObjectPtr> objects;
    snapshot->visit(filter->prefix, "", [&](const store::ObjectPtr& object) {
      if (filter->matches(*object)) objects.push_back(object);
      return true;
    });
    snapshot = nullptr;
    for (size_t i = 0; i < objects.size();) {
      BytesList pieces;
      for (size_t end = std::min(objects.size(), i + kWatchBatch); i < end; ++i) {
        (void)append_event(pieces, c, WatchType::Added, objects[i], nullptr);
        sent = std::max(sent, objects[i]->revision);
      }
      if (!co_await writer.write(std::move(pieces))) co_return;
    }
    if (c.flag("sendInitialEvents")) {
      BytesList pieces;
      pieces.push_back(encode_bookmark(c, start, true));
      if (!co_await writer.write(std::move(pieces))) co_return;
    }
  }
  auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(timeout_seconds);
  constexpr std::chrono::seconds kBookmarkEvery{60};
  while (true) {
    auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) break;
    auto events = co_await (*cursor)->next(kWatchBatch, std::min<std::chrono::milliseconds>(left, kBookmarkEvery));
    BytesList pieces;
    if (!events) {
      pieces.push_back(encode_error_event(c, events.error()));
      co_await writer.write(std::move(pieces));
      break;
    }
    pieces.reserve(events->size() * 3);
    for (const store::EventPtr& event : *events) {
      if (event->revision <= sent) continue;  // the snapshot already had it
      auto type = filter->see(*event);
      if (!type) continue;
      (void)append_event(pieces, c, *type, event->object, event.get());
    }
    if (events->empty() && bookmarks) pieces.push_back(encode_bookmark(c, (*cursor)->position(), false));
    if (!pieces.empty() && !co_await writer.write(std::move(pieces))) co_return;
  }
  co_await writer.finish();
}

}  // namespace redoubt::apiserver

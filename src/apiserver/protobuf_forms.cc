#include "apiserver/protobuf_forms.h"

#include <deque>
#include <mutex>

#include "schema/codec.h"
#include "schema/protobuf_list.h"

namespace redoubt::apiserver {

namespace {

// What is kept, oldest first. An object that went meanwhile took its form along; its entry waits for its turn.
class Kept {
 public:
  void add(const store::ObjectPtr& object, size_t bytes) {
    std::lock_guard lock(mutex_);
    entries_.push_back({object, bytes});
    bytes_ += bytes;
    while (bytes_ > kProtobufFormsBytes) {
      if (auto oldest = entries_.front().object.lock()) oldest->forms.store(nullptr);
      bytes_ -= entries_.front().bytes;
      entries_.pop_front();
    }
  }

 private:
  struct Entry {
    std::weak_ptr<const store::Object> object;
    size_t bytes;
  };
  std::mutex mutex_;
  std::deque<Entry> entries_;
  size_t bytes_ = 0;
};

}  // namespace

Result<Bytes> protobuf_item_of(const store::ObjectPtr& object, const schema::Type& type, const schema::Type& list) {
  static Kept kept;
  if (auto form = std::static_pointer_cast<const Bytes>(object->forms.load())) return *form;
  schema::Arena arena;
  RD_TRY(schema::Value value, schema::parse_json(object->json, arena, {.max_bytes = SIZE_MAX}));
  RD_TRY(std::string message, schema::to_protobuf_message(value, type));
  // Head and message are one piece: a list of many small objects costs by the piece.
  auto form = std::make_shared<const Bytes>(Bytes::copy(schema::protobuf_item_head(list, message.size()) + message));
  // Two loops may make the same form at once; either is right. What is too large to keep beside others is not kept.
  if (form->size() < kProtobufFormsBytes / 16) {
    object->forms.store(form);
    kept.add(object, form->size());
  }
  return *form;
}

}  // namespace redoubt::apiserver

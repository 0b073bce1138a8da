#include "apiserver/protobuf_forms.h"

#include <gtest/gtest.h>

#include "schema/codec.h"
#include "schema/protobuf_list.h"

namespace redoubt::apiserver {
namespace {

store::ObjectPtr config_map(size_t bytes) {
  auto object = std::make_shared<store::Object>();
  object->json = Bytes::take(
      fmt::format(R"({{"kind":"ConfigMap","apiVersion":"v1","data":{{"a":"{}"}}}})", std::string(bytes, 'x')));
  return object;
}

const schema::Type& type() {
  return *schema::find_type("io.k8s.api.core.v1.ConfigMap");
}

const schema::Type& list_type() {
  return *schema::find_type("io.k8s.api.core.v1.ConfigMapList");
}

Result<Bytes> item_of(const store::ObjectPtr& object) {
  return protobuf_item_of(object, type(), list_type());
}

TEST(ProtobufForms, AreTheObjectsMessageAsAnItem) {
  auto object = config_map(3);
  schema::Arena arena;
  auto value = schema::parse_json(object->json, arena);
  ASSERT_TRUE(value);
  auto made = item_of(object);
  ASSERT_TRUE(made);
  std::string message = *schema::to_protobuf_message(*value, type());
  EXPECT_EQ(made->view(), schema::protobuf_item_head(list_type(), message.size()) + message);
}

TEST(ProtobufForms, AreMadeOnce) {
  auto object = config_map(3);
  auto first = item_of(object), second = item_of(object);
  ASSERT_TRUE(first && second);
  EXPECT_EQ(first->data(), second->data());
}

TEST(ProtobufForms, TheOldestGoWhenThereIsNoRoom) {
  auto oldest = config_map(1 << 20);
  ASSERT_TRUE(item_of(oldest));
  EXPECT_NE(oldest->forms.load(), nullptr);
  std::vector<store::ObjectPtr> others;
  for (size_t i = 0; i <= kProtobufFormsBytes >> 20; ++i) {
    others.push_back(config_map(1 << 20));
    ASSERT_TRUE(item_of(others.back()));
  }
  EXPECT_EQ(oldest->forms.load(), nullptr);
  EXPECT_NE(others.back()->forms.load(), nullptr);
}

TEST(ProtobufForms, AnObjectThatIsMostOfTheRoomIsNotKept) {
  auto object = config_map(kProtobufFormsBytes / 16 + 1);
  ASSERT_TRUE(item_of(object));
  EXPECT_EQ(object->forms.load(), nullptr);
}

}  // namespace
}  // namespace redoubt::apiserver

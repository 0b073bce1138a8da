#include "egress/konnectivity/packet.h"

#include <gtest/gtest.h>

#include "base/encoding.h"
#include "egress/konnectivity/header.h"
#include "egress/konnectivity/limits.h"

namespace redoubt::konnectivity {
namespace {

std::string wire(const Packet& packet) {
  std::string out;
  for (const Bytes& piece : encode_packet(packet)) out += piece.view();
  return out;
}

Packet with_data(std::string data) {
  Packet packet{.type = PacketType::Data, .connect_id = 300};
  packet.data = Bytes::take(std::move(data));
  return packet;
}

// The bytes are what protoc-gen-go writes for upstream's client.proto.
TEST(Packet, IsOnTheWireAsUpstreamWritesIt) {
  Packet dial{.type = PacketType::DialReq, .random = 5};
  dial.protocol = "tcp";
  dial.address = "a:1";
  EXPECT_EQ(hex_encode(wire(dial)),
            "120c0a03746370"
            "1203613a31"
            "1805");
  Packet answer{.type = PacketType::DialRsp, .connect_id = 7, .random = 5};
  EXPECT_EQ(hex_encode(wire(answer)), "08011a0410071805");
  EXPECT_EQ(hex_encode(wire({.type = PacketType::CloseReq, .connect_id = 7})), "08022a020807");
  Packet closed{.type = PacketType::CloseRsp, .connect_id = 7};
  closed.error = "x";
  EXPECT_EQ(hex_encode(wire(closed)), "080332050a01781007");
  EXPECT_EQ(hex_encode(wire(with_data("hi"))), "0804220708ac021a026869");
  EXPECT_EQ(hex_encode(wire({.type = PacketType::DialCls, .random = 9})), "08053a020809");
  EXPECT_EQ(hex_encode(wire({.type = PacketType::Drain})), "08064200");
}

TEST(Packet, ComesBackAsItWasWritten) {
  std::vector<Packet> all;
  Packet dial{.type = PacketType::DialReq, .random = -3};
  dial.protocol = "tcp";
  dial.address = "[fd00::1]:10250";
  all.push_back(dial);
  Packet answer{.type = PacketType::DialRsp, .connect_id = 1, .random = INT64_MAX};
  answer.error = "dial tcp: no";
  all.push_back(answer);
  all.push_back(with_data(std::string(100'000, 'x')));
  all.push_back({.type = PacketType::DialCls, .random = 12});
  all.push_back({.type = PacketType::Window, .connect_id = 4, .window = 1 << 20});
  all.push_back({.type = PacketType::End, .connect_id = 4});
  for (const Packet& packet : all) {
    auto back = decode_packet(Bytes::copy(wire(packet)));
    ASSERT_TRUE(back) << back.error().message();
    EXPECT_EQ(back->type, packet.type);
    EXPECT_EQ(back->connect_id, packet.connect_id);
    EXPECT_EQ(back->random, packet.random);
    EXPECT_EQ(back->address, packet.address);
    EXPECT_EQ(back->error, packet.error);
    EXPECT_EQ(back->data.view(), packet.data.view());
    EXPECT_EQ(back->window, packet.window);
  }
}

TEST(Packet, PayloadBeforeTypeAndUnknownFieldsAreRead) {
  // dialResponse{connectID 7}, an unknown fixed32 and text, then the type.
  auto packet =
      decode_packet(Bytes::take(*hex_decode("1a021007"
                                            "ad0601020304"
                                            "fa0603616263"
                                            "0801")));
  ASSERT_TRUE(packet) << packet.error().message();
  EXPECT_EQ(packet->type, PacketType::DialRsp);
  EXPECT_EQ(packet->connect_id, 7);
}

TEST(Packet, PayloadOfAnotherTypeIsNotTaken) {
  auto packet =
      decode_packet(Bytes::take(*hex_decode("0804"
                                            "1a021007")));  // DATA with a dialResponse
  ASSERT_TRUE(packet);
  EXPECT_EQ(packet->connect_id, 0);
}

TEST(Packet, MalformedOnesAreErrors) {
  for (const char* text : {"08", "0a05", "ffffffffffffffffffffff", "0804220a08", "080422ff", "0b", "00", "120c0a03"}) {
    EXPECT_FALSE(decode_packet(Bytes::take(*hex_decode(text)))) << text;
  }
}

TEST(Packet, TextsOfAPeerAreCutAndValid) {
  Packet packet{.type = PacketType::CloseRsp, .connect_id = 1};
  packet.error = std::string(5000, 'e') + "\xff";
  auto back = decode_packet(Bytes::copy(wire(packet)));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->error.size(), kMaxErrorBytes);
  packet.error = "bad \xff\xc0\x80 text";
  EXPECT_EQ(decode_packet(Bytes::copy(wire(packet)))->error, "bad ??? text");
  packet.error = "für";
  EXPECT_EQ(decode_packet(Bytes::copy(wire(packet)))->error, "für");
  Packet dial{.type = PacketType::DialReq};
  dial.address = std::string(5000, 'a');
  EXPECT_FALSE(decode_packet(Bytes::copy(wire(dial))));
}

TEST(Identifiers, AreReadAsUpstreamWritesThem) {
  auto all =
      parse_identifiers("ipv4=1.2.3.4&ipv4=5.6.7.8&ipv6=fd00%3A%3A1&host=node-1&cidr=10.1.0.0%2F24&default-route=true");
  ASSERT_TRUE(all);
  EXPECT_EQ(all->ipv4, (std::vector<std::string>{"1.2.3.4", "5.6.7.8"}));
  EXPECT_EQ(all->ipv6, std::vector<std::string>{"fd00::1"});
  EXPECT_EQ(all->host, std::vector<std::string>{"node-1"});
  EXPECT_EQ(all->cidr, std::vector<std::string>{"10.1.0.0/24"});
  EXPECT_TRUE(all->default_route);
  EXPECT_TRUE(parse_identifiers("zone=eu"));
  EXPECT_FALSE(parse_identifiers("zone=eu", true));
  EXPECT_FALSE(parse_identifiers("cidr=10.1.0.0/33", true));
  EXPECT_FALSE(parse_identifiers("ipv4=%zz"));
  std::string many;
  for (int i = 0; i < 300; ++i) many += "host=h&";
  EXPECT_FALSE(parse_identifiers(many + "host=h"));
}

TEST(Network, HoldsWhatItsPrefixSays) {
  struct Row {
    const char *network, *address;
    bool inside;
  };
  for (const Row& row :
       {Row{"10.1.0.0/16", "10.1.255.1", true}, Row{"10.1.0.0/16", "10.2.0.1", false},
        Row{"10.1.2.3", "10.1.2.3", true}, Row{"10.1.2.3", "10.1.2.4", false},
        Row{"10.1.2.128/25", "10.1.2.127", false}, Row{"0.0.0.0/0", "8.8.8.8", true},
        Row{"0.0.0.0/0", "fd00::1", false}, Row{"::/0", "8.8.8.8", false}, Row{"::/0", "fd00::1", true},
        Row{"fd00::/8", "fdff::1", true}, Row{"fd00::/8", "fe80::1", false}, Row{"10.0.0.0/8", "::ffff:10.0.0.1", true},
        Row{"10.0.0.0/8", "node-1", false}}) {
    auto network = Network::parse(row.network);
    ASSERT_TRUE(network) << row.network;
    EXPECT_EQ(network->contains(row.address), row.inside) << row.network << " " << row.address;
  }
  for (const char* bad : {"", "10.1.0.0/", "10.1.0.0/33", "fd00::/129", "10.1/16", "node", "10.1.0.0/-1"}) {
    EXPECT_FALSE(Network::parse(bad)) << bad;
  }
}

TEST(Address, HostIsFoundInAllItsForms) {
  EXPECT_EQ(host_of("10.0.0.1:443"), "10.0.0.1");
  EXPECT_EQ(host_of("node-1:443"), "node-1");
  EXPECT_EQ(host_of("[fd00::1]:443"), "fd00::1");
  EXPECT_EQ(host_of("fd00::1"), "fd00::1");
  EXPECT_EQ(host_of("node-1"), "node-1");
  EXPECT_EQ(host_of("[fd00::1"), "fd00::1");
}

}  // namespace
}  // namespace redoubt::konnectivity

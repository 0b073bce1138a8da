// A connected socket (TCP or unix) as a Stream. For net/'s own use.
#pragma once
#include <boost/asio/generic/stream_protocol.hpp>

#include "net/stream.h"

namespace redoubt::net {

using Socket = boost::asio::generic::stream_protocol::socket;

StreamPtr make_socket_stream(Socket socket);

}  // namespace redoubt::net

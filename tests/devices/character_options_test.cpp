#include "devices/host/character_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "devices/host/event_loop.h"
#include "machine/core/option_error.h"

namespace calco::devices {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

template <typename Target>
Target serial(std::string_view text) {
  return std::get<Target>(parse_character_device("-serial", text).target);
}

TEST(CharacterOptions, PlainNames) {
  EXPECT_TRUE(serial<CharacterSpec::Stdio>("stdio").signals);
  serial<CharacterSpec::Null>("null");
  serial<CharacterSpec::None>("none");
  serial<CharacterSpec::Pty>("pty");
  EXPECT_EQ(serial<CharacterSpec::File>("file:/tmp/a,b").path, "/tmp/a,b");
  EXPECT_EQ(serial<CharacterSpec::Pipe>("pipe:/tmp/p").path, "/tmp/p");
  EXPECT_EQ(serial<CharacterSpec::Reference>("chardev:con").id, "con");
}

TEST(CharacterOptions, MonitorOnTheTerminalLeavesControlCToTheGuest) {
  const CharacterSpec spec = parse_character_device("-serial", "mon:stdio");
  EXPECT_TRUE(spec.mux);
  EXPECT_TRUE(spec.with_monitor);
  EXPECT_FALSE(std::get<CharacterSpec::Stdio>(spec.target).signals);
}

TEST(CharacterOptions, UnixSocketInBothSpellings) {
  const auto now = serial<SocketOptions>("unix:/tmp/s,server=on,wait=off");
  EXPECT_TRUE(now.address.unix_domain);
  EXPECT_EQ(now.address.path, "/tmp/s");
  EXPECT_TRUE(now.server);
  EXPECT_FALSE(now.wait);
  const auto old = serial<SocketOptions>("unix:/tmp/s,server,nowait");
  EXPECT_TRUE(old.server);
  EXPECT_FALSE(old.wait);
  EXPECT_TRUE(serial<SocketOptions>("unix:/tmp/s,server=on").wait);
}

TEST(CharacterOptions, TcpSocket) {
  const auto client = serial<SocketOptions>("tcp:localhost:4444,nodelay");
  EXPECT_EQ(client.address.host, "localhost");
  EXPECT_EQ(client.address.port, "4444");
  EXPECT_FALSE(client.server);
  EXPECT_TRUE(client.no_delay);
  EXPECT_EQ(serial<SocketOptions>("tcp::4444,server=on,wait=off").address.host, "");
  EXPECT_EQ(serial<SocketOptions>("tcp:[::1]:4444").address.host, "::1");
  EXPECT_EQ(serial<SocketOptions>("tcp:h:1,reconnect=3").reconnect_seconds, 3u);
}

TEST(CharacterOptions, Chardev) {
  const CharacterSpec stdio = parse_chardev("stdio,id=char0,mux=on,signal=off");
  EXPECT_EQ(stdio.id, "char0");
  EXPECT_TRUE(stdio.mux);
  EXPECT_FALSE(std::get<CharacterSpec::Stdio>(stdio.target).signals);
  const auto file = std::get<CharacterSpec::File>(parse_chardev("file,id=f,path=/tmp/a,,b,append=on").target);
  EXPECT_EQ(file.path, "/tmp/a,b");
  EXPECT_TRUE(file.append);
  const auto socket =
      std::get<SocketOptions>(parse_chardev("socket,id=s,host=0.0.0.0,port=99,server=on,wait=off").target);
  EXPECT_EQ(socket.address.port, "99");
  EXPECT_TRUE(std::get<SocketOptions>(parse_chardev("socket,id=q,path=/tmp/q").target).address.unix_domain);
  EXPECT_EQ(std::get<CharacterSpec::RingBuffer>(parse_chardev("ringbuf,id=r,size=1024").target).capacity, 1024u);
}

template <typename Function>
void expect_refusal(Function function, const char* message) {
  EXPECT_THAT(function, ThrowsMessage<OptionError>(HasSubstr(message)));
}

TEST(CharacterOptions, NonsenseIsRefusedWithWhatWouldBeRight) {
  const auto device = [](const char* text) { return [text] { parse_character_device("-serial", text); }; };
  expect_refusal(device("sdtio"), "-serial sdtio: unknown character device; write stdio");
  expect_refusal(device(""), "unknown character device");
  expect_refusal(device("tcp:localhost"), "port missing; write tcp:HOST:PORT");
  expect_refusal(device("tcp:localhost:"), "port missing");
  expect_refusal(device("unix:"), "path missing");
  expect_refusal(device("unix:/tmp/s,sever=on"), "there is no setting 'sever' here");
  expect_refusal(device("unix:/tmp/s,server=maybe"), "write server=on or server=off");
  expect_refusal(device("unix:/tmp/s,wait=on"), "only a server can wait");
  expect_refusal(device("file:"), "path missing");
  expect_refusal(device("chardev:"), "id missing");
  expect_refusal(device("mon:none"), "mon:none");
}

TEST(CharacterOptions, NonsenseOfChardevIsRefusedToo) {
  const auto chardev = [](const char* text) { return [text] { parse_chardev(text); }; };
  expect_refusal(chardev("stdio"), "id is missing");
  expect_refusal(chardev("file,id=f"), "path is missing");
  expect_refusal(chardev("socket,id=s"), "port is missing");
  expect_refusal(chardev("tape,id=t"), "unknown back end 'tape'");
  expect_refusal(chardev("ringbuf,id=r,size=1000"), "power of two");
  expect_refusal(chardev("ringbuf,id=r,size=lots"), "write a number");
  expect_refusal(chardev("null,id=n,path=/tmp/x"), "there is no setting 'path' here");
}

TEST(CharacterOptions, FactoryMakesWhatWasAskedFor) {
  std::recursive_mutex device_lock;
  EventLoop loop(device_lock);
  const auto made = [&](const char* text) {
    const auto backend = make_character_backend(parse_chardev(text), loop, "serial0");
    return backend->description();
  };
  EXPECT_EQ(made("null,id=a"), "null");
  EXPECT_EQ(made("ringbuf,id=a"), "ringbuf");
  EXPECT_EQ(made("file,id=a,path=/dev/null"), "file:/dev/null");
  EXPECT_EQ(make_character_backend(parse_character_device("-serial", "none"), loop, "serial0"), nullptr);
}

}  // namespace
}  // namespace calco::devices

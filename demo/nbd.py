# SPDX-License-Identifier: GPL-2.0-or-later
"""A small NBD client: one request at a time, errors as OSError."""

import os
import socket
import struct

OPTION_MAGIC = 0x49484156454F5054
REQUEST_MAGIC = 0x25609513
REPLY_MAGIC = 0x67446698
READ, WRITE, DISCONNECT, FLUSH = 0, 1, 2, 3
FUA = 1


class NbdClient:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(60)
        self.socket.connect(path)
        magic, option_magic, _flags = struct.unpack(">QQH", self.receive(18))
        if (magic, option_magic) != (0x4E42444D41474943, OPTION_MAGIC):
            raise OSError(f"{path}: is no NBD server")
        # Fixed newstyle, no zeroes; then the default export by the oldest of the options.
        self.socket.sendall(struct.pack(">I", 3) + struct.pack(">QII", OPTION_MAGIC, 1, 0))
        self.size, self.flags = struct.unpack(">QH", self.receive(10))
        self.cookie = 0

    def receive(self, length):
        data = bytearray(length)
        view = memoryview(data)
        while view:
            got = self.socket.recv_into(view)
            if got == 0:
                raise ConnectionResetError("the server has gone")
            view = view[got:]
        return data

    def request(self, kind, offset, length, data=b"", flags=0):
        self.cookie += 1
        self.socket.sendall(
            struct.pack(">IHHQQI", REQUEST_MAGIC, flags, kind, self.cookie, offset, length) + data)
        magic, error, cookie = struct.unpack(">IIQ", self.receive(16))
        if magic != REPLY_MAGIC or cookie != self.cookie:
            raise OSError("an answer that was not asked for")
        if error != 0:
            raise OSError(error, os.strerror(error))
        return self.receive(length) if kind == READ else None

    def read(self, offset, length):
        return self.request(READ, offset, length)

    def write(self, offset, data, fua=False):
        self.request(WRITE, offset, len(data), bytes(data), FUA if fua else 0)

    def flush(self):
        self.request(FLUSH, 0, 0)

    def close(self):
        try:
            self.socket.sendall(struct.pack(">IHHQQI", REQUEST_MAGIC, 0, DISCONNECT, 0, 0, 0))
        except OSError:
            pass  # it has gone already
        self.socket.close()

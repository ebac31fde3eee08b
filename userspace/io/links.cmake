# SPDX-License-Identifier: GPL-2.0-or-later
# Links between nodes (OpenSSL) and device-mapper control: part of rc_io.
find_package(OpenSSL 3 REQUIRED)
pkg_check_modules(DEVMAPPER REQUIRED IMPORTED_TARGET devmapper)
target_sources(rc_io PRIVATE connector.cpp dm.cpp frame_reader.cpp link.cpp link_thread.cpp listener.cpp packer.cpp tcp.cpp tls.cpp
                             tls_connection.cpp)
pkg_check_modules(ZSTD REQUIRED IMPORTED_TARGET libzstd)
target_link_libraries(rc_io PRIVATE PkgConfig::ZSTD)
target_link_libraries(rc_io PUBLIC OpenSSL::SSL OpenSSL::Crypto PkgConfig::DEVMAPPER)

# SPDX-License-Identifier: GPL-2.0-or-later
# rc_control_socket: all that rcctl needs of io. rc_local: the agent's inventory and settings.
find_package(OpenSSL REQUIRED)
find_package(Boost 1.74 REQUIRED)
find_package(SQLiteCpp REQUIRED)
pkg_check_modules(SQLITE3 REQUIRED IMPORTED_TARGET sqlite3)

add_library(rc_control_socket STATIC ca.cpp control_client.cpp control_server.cpp)
target_link_libraries(rc_control_socket PUBLIC rc_control Boost::headers Threads::Threads PRIVATE OpenSSL::Crypto)

add_library(rc_local STATIC config.cpp inventory.cpp inventory_copyset.cpp inventory_rows.cpp inventory_schema.cpp inventory_status.cpp)
target_compile_definitions(rc_local PRIVATE TOML_HEADER_ONLY=1)
target_link_libraries(rc_local PUBLIC rc_control PRIVATE SQLiteCpp PkgConfig::SQLITE3)

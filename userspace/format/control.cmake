# SPDX-License-Identifier: GPL-2.0-or-later
# The control protocol's values and codec: all that rcctl needs of format, so that it links nothing else of it.
find_package(nlohmann_json REQUIRED)
add_library(rc_control STATIC control_check.cpp control_handler.cpp control_json.cpp control_types.cpp)
target_link_libraries(rc_control PUBLIC rc_base nlohmann_json::nlohmann_json)

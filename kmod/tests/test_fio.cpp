// SPDX-License-Identifier: GPL-2.0-or-later
// fio: it verifies what the volume holds, the copy made from the ring must hold the same.
#include "programs.hpp"

#include <cstdio>

using namespace kt;

namespace {

constexpr uint64_t kBytes = 40 * kMiB;

const char* const kGlobal = "[global]\nioengine=libaio\ndirect=1\nthread=1\nverify_state_save=0\nverify_fatal=1\n";

// Each has its own part of the volume, which it verifies at the end.
const char* const kVerified = "[v512]\nverify=crc32c\nrw=randrw\nbs=512\niodepth=1\noffset=0\nsize=512k\n"
                              "[v4k]\nverify=crc32c\nrw=randrw\nbs=4k\niodepth=16\noffset=1m\nsize=7m\n"
                              "[v64k]\nverify=crc32c\nrw=randrw\nbs=64k\niodepth=4\noffset=8m\nsize=8m\nfsync=16\n"
                              "[v1m]\nverify=crc32c\nrw=write\nbs=1m\niodepth=64\noffset=16m\nsize=8m\n";
const char* const kTrims = "[t4k]\nverify=crc32c\nrw=randtrimwrite\nbs=4k\niodepth=16\noffset=24m\nsize=4m\n"
                           "[t64k]\nverify=crc32c\nrw=trimwrite\nbs=64k\niodepth=8\noffset=28m\nsize=4m\n";
// All over each other, so that only disk and copy can be compared; they end together, for a last one would write over
// what the others left.
const char* const kMixed = "[mix]\nrw=randrw\nrwmixwrite=90\nbsrange=512-64k\niodepth=8\noffset=32m\nsize=256k\n"
                           "norandommap=1\nnumjobs=4\ntime_based=1\nruntime=3\n";
const char* const kMixedTrims = "[mixtrim]\nrw=randtrim\nbsrange=4k-16k\noffset=32m\nsize=256k\n"
                                "norandommap=1\ntime_based=1\nruntime=3\n";

void fio(const std::string& device, const std::string& jobs) {
  write_new("/tmp/jobs.fio", kGlobal + ("filename=" + device) + "\n" + jobs);
  must_run({"fio", "--output-format=terse", "/tmp/jobs.fio"});
}

} // namespace

KT_TEST_PROGRAMS(fio_verifies_and_the_copy_is_identical) {
  zero(data_disk(0), kBytes);
  Copied volume("fio", data_disk(0), meta_disk(0), kBytes / kSector);
  fio(volume.path(), std::string(kVerified) + kMixed);
  volume.finish();
  check(volume.writes() > 2000, "only " + std::to_string(volume.writes()) + " writes");
}

KT_TEST_PROGRAMS(fio_with_trims_verifies_and_the_copy_is_identical) {
  Loop loop(kBytes);
  Copied volume("fiotrim", loop.path(), meta_disk(0), kBytes / kSector);
  fio(volume.path(), std::string(kVerified) + kTrims + kMixed + kMixedTrims);
  volume.finish();
  printf("  %llu writes, %llu trims\n", static_cast<unsigned long long>(volume.writes()),
         static_cast<unsigned long long>(volume.zeroes()));
  check(volume.writes() > 3000 && volume.zeroes() > 100, "hardly a write or trim");
}

// The control: what the comparison is for. (Writes that overlap in flight have a test and a mutant of their own.)
KT_TEST_PROGRAMS(fio_writes_without_a_record_are_noticed) {
  zero(data_disk(0), kBytes);
  Copied volume("fioless", data_disk(0), meta_disk(0), kBytes / kSector);
  fio(volume.path(), kVerified);
  volume.agent().stop(); // what follows has no record
  fio(volume.path(), kMixed);
  std::string noticed;
  try {
    volume.finish();
  } catch (const Failure& e) {
    noticed = e.what();
  }
  check(noticed.find("differ") != std::string::npos, "a copy that lacks writes passed for identical: " + noticed);
}

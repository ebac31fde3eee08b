// SPDX-License-Identifier: GPL-2.0-or-later
// The inventory's tables and views (docs/inventory.md). Names and meanings of views and columns are stable;
// later versions add. Times are RFC 3339 UTC text, sizes bytes, durations seconds. `group` is a word of SQL:
// group_name.
#include "io/inventory_database.hpp"

namespace rc::io {

const char* const inventory_schema_1 = R"sql(
CREATE TABLE sites (
  name TEXT PRIMARY KEY
) STRICT;

CREATE TABLE nodes (
  name    TEXT PRIMARY KEY,
  site    TEXT NOT NULL REFERENCES sites(name),
  address TEXT NOT NULL,
  is_self INTEGER NOT NULL CHECK (is_self IN (0, 1))
) STRICT;
CREATE UNIQUE INDEX one_self ON nodes(is_self) WHERE is_self = 1;

CREATE TABLE links (
  node        TEXT PRIMARY KEY REFERENCES nodes(name) ON DELETE CASCADE,
  state       TEXT NOT NULL CHECK (state IN ('down', 'connecting', 'up')),
  since       TEXT NOT NULL,
  rtt_seconds REAL,
  reason      TEXT NOT NULL,
  next_action TEXT NOT NULL,
  updated     TEXT NOT NULL
) STRICT;

CREATE TABLE copysets (
  name      TEXT PRIMARY KEY,
  registrar TEXT REFERENCES nodes(name)
) STRICT;

CREATE TABLE groups (
  name           TEXT PRIMARY KEY,
  copyset        TEXT NOT NULL REFERENCES copysets(name),
  role           TEXT NOT NULL CHECK (role IN ('primary', 'secondary')),
  primary_node   TEXT NOT NULL,
  generation     INTEGER NOT NULL,
  journal        TEXT NOT NULL,
  journal_bytes  INTEGER NOT NULL,
  ring_mib       INTEGER NOT NULL,
  checkpoint_ms  INTEGER NOT NULL,
  ack_timeout_ms INTEGER NOT NULL,
  next_volume    INTEGER NOT NULL DEFAULT 0,
  state          TEXT NOT NULL DEFAULT 'inactive' CHECK (state IN ('inactive', 'active', 'unconfirmed', 'secondary',
                                                                   'updating', 'taking_over', 'lost_branch', 'failed')),
  lag_seconds    REAL,
  alone          INTEGER NOT NULL DEFAULT 0 CHECK (alone IN (0, 1)),
  is_current     INTEGER NOT NULL DEFAULT 0 CHECK (is_current IN (0, 1)),
  ring_bytes     INTEGER,
  ring_used      INTEGER,
  journal_used   INTEGER,
  image          TEXT,
  image_time     TEXT,
  reason         TEXT NOT NULL DEFAULT '',
  next_action    TEXT NOT NULL DEFAULT '',
  updated        TEXT
) STRICT;

CREATE TABLE volumes (
  group_name TEXT NOT NULL REFERENCES groups(name) ON DELETE CASCADE,
  node       TEXT NOT NULL REFERENCES nodes(name),
  name       TEXT NOT NULL,
  number     INTEGER NOT NULL,
  bytes      INTEGER NOT NULL,
  device     TEXT NOT NULL,
  meta       TEXT NOT NULL,
  PRIMARY KEY (group_name, node, name),
  UNIQUE (group_name, node, number)
) STRICT;

CREATE TABLE pairs (
  group_name       TEXT NOT NULL REFERENCES groups(name) ON DELETE CASCADE,
  source           TEXT NOT NULL REFERENCES nodes(name),
  target           TEXT NOT NULL REFERENCES nodes(name),
  mode             TEXT NOT NULL CHECK (mode IN ('sync', 'async')),
  link_slot        INTEGER NOT NULL CHECK (link_slot BETWEEN 0 AND 30),
  journal          TEXT NOT NULL,
  journal_bytes    INTEGER NOT NULL,
  suspended        INTEGER NOT NULL CHECK (suspended IN (0, 1)),
  state            TEXT NOT NULL DEFAULT 'simplex' CHECK (state IN ('simplex', 'initial_copy', 'duplex', 'suspending',
                                                                    'suspended', 'failed', 'pending')),
  sync             TEXT NOT NULL DEFAULT 'not_sync' CHECK (sync IN ('not_sync', 'not_current', 'current', 'alone')),
  link             TEXT NOT NULL DEFAULT 'down' CHECK (link IN ('down', 'connecting', 'up')),
  lag_seconds      REAL,
  lag_bytes        INTEGER,
  lag_at_least     INTEGER NOT NULL DEFAULT 0 CHECK (lag_at_least IN (0, 1)),
  image            TEXT,
  image_time       TEXT,
  bytes_total      INTEGER,
  bytes_left       INTEGER,
  bytes_per_second REAL,
  seconds_left     REAL,
  journal_used     INTEGER,
  sent_bytes       INTEGER NOT NULL DEFAULT 0,
  since            TEXT NOT NULL DEFAULT '',
  reason           TEXT NOT NULL DEFAULT 'not yet connected',
  next_action      TEXT NOT NULL DEFAULT '',
  updated          TEXT,
  PRIMARY KEY (group_name, source, target),
  UNIQUE (group_name, source, link_slot)
) STRICT;

CREATE TABLE checkpoints (
  id         INTEGER PRIMARY KEY,
  group_name TEXT NOT NULL REFERENCES groups(name) ON DELETE CASCADE,
  node       TEXT NOT NULL REFERENCES nodes(name) ON DELETE CASCADE,
  generation INTEGER NOT NULL,
  n          INTEGER NOT NULL,
  time       TEXT NOT NULL,
  UNIQUE (group_name, node, generation, n)
) STRICT;

CREATE TABLE plans (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  group_name TEXT NOT NULL REFERENCES groups(name) ON DELETE CASCADE,
  kind       TEXT NOT NULL,
  ended      INTEGER NOT NULL CHECK (ended IN (0, 1)),
  request    TEXT NOT NULL,
  plan       TEXT NOT NULL,
  created    TEXT NOT NULL,
  updated    TEXT NOT NULL
) STRICT;

CREATE TABLE events (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  time        TEXT NOT NULL,
  severity    TEXT NOT NULL CHECK (severity IN ('info', 'notice', 'warning', 'error')),
  kind        TEXT NOT NULL CHECK (kind IN ('exists', 'create', 'change', 'destroy', 'call', 'response')),
  object      TEXT NOT NULL,
  group_name  TEXT NOT NULL,
  text        TEXT NOT NULL,
  next_action TEXT NOT NULL
) STRICT;
CREATE INDEX events_of_group ON events(group_name, id);

CREATE VIEW pair_status AS
  SELECT p.group_name, p.source, p.target, n.site AS target_site, p.mode, p.state,
         round(p.lag_seconds, 3) AS lag_seconds, p.lag_bytes, p.lag_at_least, p.sync, p.link,
         CASE WHEN p.bytes_total > 0
              THEN round(100.0 * (p.bytes_total - p.bytes_left) / p.bytes_total, 1) END AS percent,
         p.bytes_left, round(p.bytes_per_second) AS bytes_per_second, round(p.seconds_left) AS seconds_left,
         p.image, p.image_time, p.journal_used, p.journal_bytes,
         (SELECT count(*) FROM volumes v WHERE v.group_name = p.group_name AND v.node = p.source) AS volumes,
         p.reason, p.next_action, p.since, p.updated
  FROM pairs p JOIN nodes n ON n.name = p.target
  ORDER BY p.group_name, p.source, p.target;

CREATE VIEW group_status AS
  SELECT g.name AS group_name, g.role, g.state, round(g.lag_seconds, 3) AS lag_seconds, g.alone, g.is_current,
         g.primary_node, g.generation, g.image, g.image_time,
         (SELECT count(*) FROM volumes v JOIN nodes n ON n.name = v.node AND n.is_self = 1
          WHERE v.group_name = g.name) AS volumes,
         g.ring_used, g.ring_bytes, g.journal_used, g.journal_bytes, g.reason, g.next_action, g.updated
  FROM groups g
  ORDER BY g.name;

CREATE VIEW recent_events AS
  SELECT id, time, severity, kind, object, group_name, text, next_action FROM events ORDER BY id DESC LIMIT 100;
)sql";

const char* const inventory_schema_2 = R"sql(
ALTER TABLE groups ADD COLUMN on_full TEXT NOT NULL DEFAULT 'suspend' CHECK (on_full IN ('suspend', 'throttle'));
)sql";

const char* const inventory_schema_3 = R"sql(
ALTER TABLE groups ADD COLUMN fence TEXT NOT NULL DEFAULT 'go' CHECK (fence IN ('go', 'stop'));
CREATE TABLE copyset_seats (
  copyset    TEXT NOT NULL REFERENCES copysets(name) ON DELETE CASCADE,
  group_name TEXT NOT NULL,
  site       TEXT NOT NULL,
  node       TEXT NOT NULL REFERENCES nodes(name),
  PRIMARY KEY (copyset, group_name, site)
) STRICT;
)sql";

} // namespace rc::io

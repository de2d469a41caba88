BEGIN TRANSACTION;
CREATE TABLE blind_interval (
	id INTEGER NOT NULL, 
	role VARCHAR(16) NOT NULL, 
	location VARCHAR(50) NOT NULL, 
	start BIGINT NOT NULL, 
	"end" BIGINT NOT NULL, 
	CONSTRAINT pk_blind_interval PRIMARY KEY (id), 
	CONSTRAINT uq_blind_interval_role_location_start UNIQUE (role, location, start)
);
CREATE TABLE dirty_period (
	target_id INTEGER NOT NULL, 
	resolution VARCHAR(8) NOT NULL, 
	start BIGINT NOT NULL, 
	ready_at BIGINT NOT NULL, 
	CONSTRAINT pk_dirty_period PRIMARY KEY (target_id, resolution, start)
)
 WITHOUT ROWID

;
INSERT INTO "dirty_period" VALUES(2,'hour',1795345200000000,1795348349309134);
CREATE TABLE instance (
	id INTEGER NOT NULL, 
	uuid CHAR(32) NOT NULL, 
	created_at BIGINT NOT NULL, 
	CONSTRAINT pk_instance PRIMARY KEY (id)
);
INSERT INTO "instance" VALUES(1,'4adaab4d33a2428d84ea2aa22e53479e',1795348282731454);
CREATE TABLE monitor_state (
	monitor CHAR(32) NOT NULL, 
	slug VARCHAR(100) NOT NULL, 
	name VARCHAR(200) NOT NULL, 
	kind VARCHAR(32) NOT NULL, 
	revision INTEGER NOT NULL, 
	quorum INTEGER NOT NULL, 
	status VARCHAR(16) NOT NULL, 
	since BIGINT NOT NULL, 
	seq INTEGER NOT NULL, 
	paused BOOLEAN NOT NULL, 
	removed VARCHAR(16), 
	removed_at BIGINT, 
	consumed_seq INTEGER NOT NULL, 
	leased_until BIGINT, 
	leased_by VARCHAR(100), 
	CONSTRAINT pk_monitor_state PRIMARY KEY (monitor)
);
INSERT INTO "monitor_state" VALUES('7407ae9b0c31447f9c32467ca1f8b1f4','backup','Backup','heartbeat',1,1,'up',1795348295268348,1,0,NULL,NULL,0,NULL,NULL);
INSERT INTO "monitor_state" VALUES('ca18e6afd7a0432f96a00aada14f17bc','shop','Shop','http',1,1,'down',1795348289105847,1,0,NULL,NULL,1,NULL,NULL);
CREATE TABLE ping (
	id INTEGER NOT NULL, 
	monitor CHAR(32) NOT NULL, 
	received_at BIGINT NOT NULL, 
	action VARCHAR(16) NOT NULL, 
	exit_code INTEGER, 
	run CHAR(32), 
	duration_ns BIGINT, 
	method VARCHAR(8) NOT NULL, 
	source VARCHAR(64) NOT NULL, 
	user_agent VARCHAR(200) NOT NULL, 
	body BLOB NOT NULL, 
	body_size INTEGER NOT NULL, 
	CONSTRAINT pk_ping PRIMARY KEY (id)
);
INSERT INTO "ping" VALUES(1,'7407ae9b0c31447f9c32467ca1f8b1f4',1795348295268348,'success',NULL,NULL,NULL,'GET','127.0.0.1','',X'',0);
CREATE TABLE ping_code (
	code CHAR(32) NOT NULL, 
	monitor CHAR(32) NOT NULL, 
	created_at BIGINT NOT NULL, 
	CONSTRAINT pk_ping_code PRIMARY KEY (code)
);
INSERT INTO "ping_code" VALUES('4e5fc24a8883d74643be2d5faf172bdb','7407ae9b0c31447f9c32467ca1f8b1f4',1795348285744542);
CREATE TABLE result (
	id INTEGER NOT NULL, 
	target_id INTEGER NOT NULL, 
	due_at BIGINT NOT NULL, 
	started_at BIGINT NOT NULL, 
	outcome VARCHAR(16) NOT NULL, 
	latency_ns BIGINT, 
	dns_ns BIGINT, 
	connect_ns BIGINT, 
	tls_ns BIGINT, 
	first_byte_ns BIGINT, 
	transfer_ns BIGINT, 
	other_ns BIGINT, 
	failure JSON, 
	evidence JSON, 
	CONSTRAINT pk_result PRIMARY KEY (id)
);
INSERT INTO "result" VALUES(1,2,1795348286618596,1795348289105847,'down',NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"reason": "refused", "message": "the connection was refused", "phase": "connect"}',NULL);
INSERT INTO "result" VALUES(2,2,1795348289618596,1795348290097658,'down',NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"reason": "refused", "message": "the connection was refused", "phase": "connect"}',NULL);
INSERT INTO "result" VALUES(3,2,1795348290618596,1795348291117664,'down',NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"reason": "refused", "message": "the connection was refused", "phase": "connect"}',NULL);
INSERT INTO "result" VALUES(4,2,1795348291618596,1795348292137526,'down',NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"reason": "refused", "message": "the connection was refused", "phase": "connect"}',NULL);
INSERT INTO "result" VALUES(5,2,1795348292618596,1795348293148607,'down',NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"reason": "refused", "message": "the connection was refused", "phase": "connect"}',NULL);
INSERT INTO "result" VALUES(6,2,1795348293618596,1795348294197769,'down',NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"reason": "refused", "message": "the connection was refused", "phase": "connect"}',NULL);
INSERT INTO "result" VALUES(7,2,1795348294618596,1795348295201651,'down',NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"reason": "refused", "message": "the connection was refused", "phase": "connect"}',NULL);
CREATE TABLE rollup (
	target_id INTEGER NOT NULL, 
	resolution VARCHAR(8) NOT NULL, 
	start BIGINT NOT NULL, 
	phase VARCHAR(16) NOT NULL, 
	histogram BLOB NOT NULL, 
	complete INTEGER NOT NULL, 
	incomplete INTEGER NOT NULL, 
	up INTEGER NOT NULL, 
	degraded INTEGER NOT NULL, 
	down INTEGER NOT NULL, 
	unknown INTEGER NOT NULL, 
	CONSTRAINT pk_rollup PRIMARY KEY (target_id, resolution, start, phase)
)
 WITHOUT ROWID

;
CREATE TABLE sign_of_life (
	process VARCHAR(100) NOT NULL, 
	role VARCHAR(16) NOT NULL, 
	location VARCHAR(50) NOT NULL, 
	started_at BIGINT NOT NULL, 
	at BIGINT NOT NULL, 
	CONSTRAINT pk_sign_of_life PRIMARY KEY (process)
);
INSERT INTO "sign_of_life" VALUES('worker@vm:8026:c2a9bf','worker','local',1795348289018348,1795348295343284);
INSERT INTO "sign_of_life" VALUES('notifier@vm:8027:1c6167','notifier','',1795348290217169,1795348294306416);
INSERT INTO "sign_of_life" VALUES('web@vm:8025:764360','web','',1795348290358565,1795348294402985);
CREATE TABLE store_revision (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT store_revision_pkc PRIMARY KEY (version_num)
);
INSERT INTO "store_revision" VALUES('0001');
CREATE TABLE target (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	monitor CHAR(32) NOT NULL, 
	location VARCHAR(50) NOT NULL, 
	source VARCHAR(16) NOT NULL, 
	revision INTEGER NOT NULL, 
	spec JSON NOT NULL, 
	active BOOLEAN NOT NULL, 
	interval_seconds FLOAT NOT NULL, 
	retry_seconds FLOAT NOT NULL, 
	fence INTEGER NOT NULL, 
	next_due_at BIGINT, 
	leased_until BIGINT, 
	leased_by VARCHAR(100), 
	skipped_slots INTEGER NOT NULL, 
	vote VARCHAR(16) NOT NULL, 
	vote_since BIGINT, 
	last_outcome VARCHAR(16), 
	last_result_at BIGINT, 
	serving_run INTEGER NOT NULL, 
	serving_since BIGINT, 
	healthy_run INTEGER NOT NULL, 
	healthy_since BIGINT, 
	last_latency_ns BIGINT, 
	last_failure JSON, 
	deadline_at BIGINT, 
	last_ping_at BIGINT, 
	last_start_at BIGINT, 
	last_duration_ns BIGINT, 
	CONSTRAINT uq_target_monitor_location UNIQUE (monitor, location)
);
INSERT INTO "target" VALUES(1,'7407ae9b0c31447f9c32467ca1f8b1f4','local','pinged',1,'{"kind": "heartbeat", "name": "Backup", "slug": "backup", "schedule": {"every": "30d"}, "grace": "1h"}',1,2592000.0,2592000.0,0,NULL,NULL,NULL,0,'up',1795348295268348,'up',1795348295268348,1,1795348295268348,1,1795348295268348,NULL,NULL,1797943895268348,1795348295268348,NULL,NULL);
INSERT INTO "target" VALUES(2,'ca18e6afd7a0432f96a00aada14f17bc','local','probed',1,'{"kind": "http", "name": "Shop", "slug": "shop", "interval": "1s", "timeout": "1s", "retry_interval": "1s", "failures": 1, "successes": 1, "url": "http://127.0.0.1:9/", "username": "shop", "password": {"sealed": "gAAAAABrAtc94TDksy1P9dbbV01S_168fUjAajoZkyKf7K1F0ECzEAA3PosQxNyyfFqKjLv42_UOCJcAgOxugyzjpQIG8zDQHw=="}}',1,1.0,1.0,7,1795348295618596,NULL,NULL,2,'down',1795348289105847,'down',1795348295201651,7,1795348289105847,7,1795348289105847,NULL,'{"reason": "refused", "message": "the connection was refused", "phase": "connect"}',NULL,NULL,NULL,NULL);
CREATE TABLE transition (
	uuid CHAR(32) NOT NULL, 
	monitor CHAR(32) NOT NULL, 
	seq INTEGER NOT NULL, 
	at BIGINT NOT NULL, 
	since BIGINT NOT NULL, 
	from_status VARCHAR(16) NOT NULL, 
	to_status VARCHAR(16) NOT NULL, 
	cause VARCHAR(16) NOT NULL, 
	evidence JSON NOT NULL, 
	consumed_at BIGINT, 
	CONSTRAINT pk_transition PRIMARY KEY (uuid), 
	CONSTRAINT uq_transition_monitor_seq UNIQUE (monitor, seq)
);
INSERT INTO "transition" VALUES('cd8f8409804a4613ba26af3cc560b9d1','ca18e6afd7a0432f96a00aada14f17bc',1,1795348289309134,1795348289105847,'pending','down','probe','{"location": "local", "outcome": "down", "started_at": "2026-11-22T11:51:29.105847+00:00", "latency_ns": null, "phases": {}, "failure": {"reason": "refused", "message": "the connection was refused", "phase": "connect"}, "evidence": {}}',1795348290448590);
INSERT INTO "transition" VALUES('8bf9be842b4946d4b33a7f09c06c4246','7407ae9b0c31447f9c32467ca1f8b1f4',1,1795348295268464,1795348295268348,'pending','up','ping','{"location": "local", "outcome": "up", "failure": null, "evidence": {"ping": "success", "exit_code": null}}',NULL);
CREATE TABLE trouble (
	what VARCHAR(64) NOT NULL, 
	message VARCHAR(500) NOT NULL, 
	since BIGINT NOT NULL, 
	seen_at BIGINT NOT NULL, 
	CONSTRAINT pk_trouble PRIMARY KEY (what)
);
CREATE INDEX ix_dirty_period_ready ON dirty_period (ready_at);
CREATE INDEX ix_monitor_state_unconsumed ON monitor_state (monitor) WHERE seq > consumed_seq;
CREATE INDEX ix_ping_monitor_received ON ping (monitor, received_at);
CREATE INDEX ix_ping_code_monitor ON ping_code (monitor);
CREATE INDEX ix_result_target_started ON result (target_id, started_at);
CREATE INDEX ix_rollup_start ON rollup (resolution, start, target_id);
CREATE INDEX ix_target_deadline ON target (deadline_at);
CREATE INDEX ix_target_due ON target (location, next_due_at);
CREATE INDEX ix_transition_monitor_since ON transition (monitor, since);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('target',2);
COMMIT;

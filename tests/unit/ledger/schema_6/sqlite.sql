-- A ledger of schema 6, the last one before there were migrations, as SQLite's `.dump` writes it.
BEGIN TRANSACTION;
CREATE TABLE audit (
	sequence INTEGER NOT NULL, 
	at BIGINT NOT NULL, 
	actor VARCHAR(128) NOT NULL, 
	action VARCHAR(64) NOT NULL, 
	subject VARCHAR(200) NOT NULL, 
	detail JSON NOT NULL, 
	previous VARCHAR(64) NOT NULL, 
	digest VARCHAR(64) NOT NULL, 
	PRIMARY KEY (sequence)
);
INSERT INTO "audit" VALUES(1,1795521610000000,'registry','alias-moved','ich','{"alias": "champion", "old": null, "new": "1", "generation": 1, "reason": "first"}','0000000000000000000000000000000000000000000000000000000000000000','3e00a6d3f03ce43bf54fbe7377436f627fe58d1d1a2535794c87bdf31b8d3378');
INSERT INTO "audit" VALUES(2,1795521610000000,'registry','alias-moved','ich','{"alias": "challenger", "old": null, "new": "2", "generation": 2, "reason": "a person''s decision"}','3e00a6d3f03ce43bf54fbe7377436f627fe58d1d1a2535794c87bdf31b8d3378','04e385cdb11de9e3780c92713b215ea8b86cef0763bf6061c935425ec62a388b');
INSERT INTO "audit" VALUES(3,1795521610000000,'alice','route-weight','ich','{"version": "2", "weight_bp": 500, "was": {"version": null, "weight_bp": 0}}','04e385cdb11de9e3780c92713b215ea8b86cef0763bf6061c935425ec62a388b','bd1b37c476cd6914b4bf3e5cd95c0d7bf49d83a4b91b389ec2deaa16c9f5a6ad');
INSERT INTO "audit" VALUES(4,1795521610000000,'bob','route-pin','ich','{"key": "p:0123", "variant": "canary", "was": null}','bd1b37c476cd6914b4bf3e5cd95c0d7bf49d83a4b91b389ec2deaa16c9f5a6ad','fa65edddb7ce8df803092c15d36aafb7c881610183ac42b4fc57a826a8a20399');
INSERT INTO "audit" VALUES(5,1795521610000000,'alice','freeze','site','{"reason": "a drill", "revision": 3}','fa65edddb7ce8df803092c15d36aafb7c881610183ac42b4fc57a826a8a20399','b4aed5e7d750df654dfa53c6ab513a8a3eb39816f69c69b044dae27b74fad0ca');
CREATE TABLE control_state (
	id INTEGER NOT NULL, 
	leader_epoch BIGINT NOT NULL, 
	holder VARCHAR(128) NOT NULL, 
	renewed_at BIGINT NOT NULL, 
	epoch BIGINT NOT NULL, 
	generation BIGINT NOT NULL, 
	published_at BIGINT, 
	snapshot TEXT, 
	states TEXT, 
	digest VARCHAR(64), 
	PRIMARY KEY (id)
);
INSERT INTO "control_state" VALUES(1,1,'controller-1',1795521610000000,1,1,1795521610000000,'{"tables": {}}','{"states": {}}','fa1ca836ace5ec86cf41167f69b03ddff21afe1a4949867a9ebd6bce29a0343e');
CREATE TABLE decisions (
	job_id VARCHAR(32) NOT NULL, 
	role VARCHAR(16) NOT NULL, 
	version VARCHAR(64) NOT NULL, 
	study_key VARCHAR(128) NOT NULL, 
	at BIGINT NOT NULL, 
	identity VARCHAR(200) NOT NULL, 
	model VARCHAR(64) NOT NULL, 
	epoch INTEGER NOT NULL, 
	generation INTEGER NOT NULL, 
	assigned_at BIGINT NOT NULL, 
	counts BOOLEAN NOT NULL, 
	assignment_reason VARCHAR(16) NOT NULL, 
	arm VARCHAR(255) NOT NULL, 
	variant VARCHAR(255) NOT NULL, 
	digest VARCHAR(128) NOT NULL, 
	outcome TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	salt VARCHAR(64) NOT NULL, 
	bucket INTEGER, 
	weight_bp INTEGER NOT NULL, 
	segments TEXT NOT NULL, 
	slot TEXT NOT NULL, 
	rule TEXT, 
	latency_ms FLOAT, 
	PRIMARY KEY (job_id, role, version)
);
INSERT INTO "decisions" VALUES('435a5a42c6174723bce8f815bd9460c1','answered','2','study-key',1795521608000000,'patient:p','ich',0,1,1795521608000000,1,'draw','canary','canary','d2','normal','bucket 62 lies in [0, 10000), so canary reads','salt',62,10000,'canary:0-10000 baseline:10000-10000','',NULL,12.5);
INSERT INTO "decisions" VALUES('435a5a42c6174723bce8f815bd9460c1','shadow','3','study-key',1795521608000000,'patient:p','ich',0,1,1795521608000000,1,'draw','canary','shadow-next','d2','due','bucket 62 lies in [0, 10000), so canary reads','salt',62,10000,'canary:0-10000 baseline:10000-10000','',NULL,NULL);
INSERT INTO "decisions" VALUES('435a5a42c6174723bce8f815bd9460c1','safety-net','1','study-key',1795521608000000,'patient:p','ich',0,1,1795521608000000,1,'draw','canary','champion','d2','read','bucket 62 lies in [0, 10000), so canary reads','salt',62,10000,'canary:0-10000 baseline:10000-10000','',NULL,20.0);
INSERT INTO "decisions" VALUES('e2102643497a47a69ebb4696c1e77f61','failed','2','study-key',1795521609000000,'patient:q','ich',0,1,1795521609000000,1,'draw','canary','canary','d2','model-error','bucket 1987 lies in [0, 10000), so canary reads','salt',1987,10000,'canary:0-10000 baseline:10000-10000','',NULL,12.5);
INSERT INTO "decisions" VALUES('e2102643497a47a69ebb4696c1e77f61','answered','1','study-key',1795521609000000,'patient:q','ich',0,1,1795521609000000,1,'draw','canary','champion','d1','normal','bucket 1987 lies in [0, 10000), so canary reads','salt',1987,10000,'canary:0-10000 baseline:10000-10000','',NULL,12.5);
INSERT INTO "decisions" VALUES('e2102643497a47a69ebb4696c1e77f61','shadow','3','study-key',1795521609000000,'patient:p','ich',0,1,1795521609000000,1,'draw','canary','shadow-next','d2','due','bucket 62 lies in [0, 10000), so canary reads','salt',62,10000,'canary:0-10000 baseline:10000-10000','',NULL,NULL);
CREATE TABLE deliveries (
	id VARCHAR(32) NOT NULL, 
	job_id VARCHAR(32) NOT NULL, 
	kind VARCHAR(16) NOT NULL, 
	destination TEXT NOT NULL, 
	lane TEXT NOT NULL, 
	document VARCHAR(16), 
	payload JSON, 
	state VARCHAR(16) NOT NULL, 
	created_at BIGINT NOT NULL, 
	attempt INTEGER NOT NULL, 
	losses INTEGER NOT NULL, 
	not_before BIGINT NOT NULL, 
	worker VARCHAR(128), 
	lease_until BIGINT, 
	error_code VARCHAR(64), 
	ended_at BIGINT, 
	PRIMARY KEY (id)
);
INSERT INTO "deliveries" VALUES('e3ee568569ae4d57a94f6a3e25879bd8','5ee93a5f1e3d43c1ad28ba70b28d23e0','stow','pacs','pacs','sr','null','done',1795521600000000,1,0,1795521600000000,NULL,NULL,NULL,1795521601000000);
INSERT INTO "deliveries" VALUES('ab47f3a7801145e0aa9fa46b3bcacf39','5ee93a5f1e3d43c1ad28ba70b28d23e0','callback','https://ris.example/hook','https://ris.example',NULL,'{"id": "x"}','dead',1795521600000000,1,0,1795521600000000,NULL,NULL,'callback-failed',1795521601000000);
INSERT INTO "deliveries" VALUES('349c52cecd83460e865e365406dd8762','e1a0667b00334af6b244852120dc6cc3','stow','pacs','pacs','sr','null','due',1795521602000000,0,0,1795521602000000,NULL,NULL,NULL,NULL);
CREATE TABLE documents (
	job_id VARCHAR(32) NOT NULL, 
	kind VARCHAR(16) NOT NULL, 
	content BLOB NOT NULL, 
	PRIMARY KEY (job_id, kind)
);
INSERT INTO "documents" VALUES('5ee93a5f1e3d43c1ad28ba70b28d23e0','sr',X'4449434D');
INSERT INTO "documents" VALUES('e1a0667b00334af6b244852120dc6cc3','sr',X'4449434D');
INSERT INTO "documents" VALUES('7640064351eb4e2ebb1f9d2c48fc1594','sr',X'4449434D');
CREATE TABLE escalations (
	sequence INTEGER NOT NULL, 
	at BIGINT NOT NULL, 
	job_id VARCHAR(32) NOT NULL, 
	audience VARCHAR(16) NOT NULL, 
	digest VARCHAR(64) NOT NULL, 
	detail JSON NOT NULL, 
	PRIMARY KEY (sequence), 
	UNIQUE (job_id, digest)
);
INSERT INTO "escalations" VALUES(1,1795521609000000,'435a5a42c6174723bce8f815bd9460c1','caller','1b1a8b2ab4aeed42ba61359956dc244756ee03148823bb731d47f365bef6845f','{"study_key": "study-key", "finding": "1386000@SCT"}');
CREATE TABLE exposures (
	model VARCHAR(64) NOT NULL, 
	salt VARCHAR(64) NOT NULL, 
	identity VARCHAR(200) NOT NULL, 
	at BIGINT NOT NULL, 
	job_id VARCHAR(32) NOT NULL, 
	study_key VARCHAR(128) NOT NULL, 
	generation INTEGER NOT NULL, 
	arm VARCHAR(255) NOT NULL, 
	version VARCHAR(64) NOT NULL, 
	weight_bp INTEGER NOT NULL, 
	segments TEXT NOT NULL, 
	PRIMARY KEY (model, salt, identity)
);
INSERT INTO "exposures" VALUES('ich','salt','patient:p',1795521608000000,'435a5a42c6174723bce8f815bd9460c1','study-key',1,'canary','2',10000,'canary:0-10000 baseline:10000-10000');
INSERT INTO "exposures" VALUES('ich','salt','patient:q',1795521609000000,'e2102643497a47a69ebb4696c1e77f61','study-key',1,'canary','2',10000,'canary:0-10000 baseline:10000-10000');
CREATE TABLE idempotency (
	tenant VARCHAR(64) NOT NULL, 
	"key" VARCHAR(200) NOT NULL, 
	fingerprint VARCHAR(64) NOT NULL, 
	job_id VARCHAR(32) NOT NULL, 
	PRIMARY KEY (tenant, "key")
);
INSERT INTO "idempotency" VALUES('ris','k','85c0101c8d3796aae27764ad40021c1787b543373b1d053ea232378af46d64a6','7640064351eb4e2ebb1f9d2c48fc1594');
CREATE TABLE jobs (
	id VARCHAR(32) NOT NULL, 
	tenant VARCHAR(64) NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	priority VARCHAR(16) NOT NULL, 
	study_uid VARCHAR(64) NOT NULL, 
	source VARCHAR(64) NOT NULL, 
	series_uids JSON NOT NULL, 
	inputs JSON NOT NULL, 
	by_object BOOLEAN NOT NULL, 
	follow_up INTEGER NOT NULL, 
	model VARCHAR(64) NOT NULL, 
	requested_model VARCHAR(64) NOT NULL, 
	tester_variant VARCHAR(255), 
	inference_type VARCHAR(16) NOT NULL, 
	outputs JSON NOT NULL, 
	callback TEXT, 
	context JSON NOT NULL, 
	force BOOLEAN NOT NULL, 
	created_at BIGINT NOT NULL, 
	not_before BIGINT NOT NULL, 
	called BOOLEAN NOT NULL, 
	rank INTEGER NOT NULL, 
	scheduled_at BIGINT NOT NULL, 
	finished_at BIGINT, 
	attempt INTEGER NOT NULL, 
	losses INTEGER NOT NULL, 
	failing_since BIGINT, 
	failing_kind VARCHAR(16), 
	token VARCHAR(32), 
	worker VARCHAR(128), 
	lease_until BIGINT, 
	takeover_at BIGINT, 
	stage VARCHAR(32), 
	stages_s JSON NOT NULL, 
	error_code VARCHAR(64), 
	error_detail TEXT, 
	result JSON, 
	result_version INTEGER, 
	same_as VARCHAR(32), 
	PRIMARY KEY (id)
);
INSERT INTO "jobs" VALUES('5ee93a5f1e3d43c1ad28ba70b28d23e0','ris','completed','routine','1.2.840.1','pacs','[]','[]',0,0,'ich','',NULL,'','["json", "sr"]',NULL,'{}',0,1795521600000000,1795521600000000,1,1,1795522200000000,1795521601000000,1,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"fetch": 0.5}',NULL,NULL,'{"score": 87}',1,NULL);
INSERT INTO "jobs" VALUES('e1a0667b00334af6b244852120dc6cc3','ris','storing','stat','1.2.840.2','pacs','[]','[]',0,0,'ich','',NULL,'','["json", "sr"]',NULL,'{"ward": "ED"}',0,1795521602000000,1795521602000000,1,0,1795521602000000,NULL,1,0,NULL,NULL,NULL,NULL,NULL,NULL,'store','{"fetch": 0.5}',NULL,NULL,'{"score": 87}',1,NULL);
INSERT INTO "jobs" VALUES('adbec25a17634d70ac81ac6103645939','ris','failed','routine','1.2.840.3','pacs','[]','[]',0,0,'','',NULL,'','["json", "sr"]',NULL,'{}',0,1795521603000000,1795521603000000,1,1,1795522203000000,1795521603000000,1,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{}','model-error','no such thing',NULL,NULL,NULL);
INSERT INTO "jobs" VALUES('e04948475e644a2b8c50af6191bf9756','ris','canceled','routine','1.2.840.4','pacs','[]','[]',0,0,'','',NULL,'','["json", "sr"]',NULL,'{}',0,1795521604000000,1795521604000000,1,1,1795522204000000,1795521604000000,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{}',NULL,NULL,NULL,NULL,NULL);
INSERT INTO "jobs" VALUES('3eddb3fea100487aa0ffcc644a1aa6c6','ris','running','routine','1.2.840.5','pacs','[]','[]',0,0,'','',NULL,'','["json", "sr"]',NULL,'{}',0,1795521605000000,1795521605000000,1,1,1795522205000000,NULL,1,0,NULL,NULL,'02b0226c7f484f1fa1ebd59faddc96fa','a',1795521615000000,1795521615000000,NULL,'{}',NULL,NULL,NULL,NULL,NULL);
INSERT INTO "jobs" VALUES('7640064351eb4e2ebb1f9d2c48fc1594','ris','completed','routine','1.2.840.6','pacs','[]','[]',0,0,'ich','',NULL,'','["json", "sr"]',NULL,'{}',0,1795521606000000,1795521606000000,1,1,1795522206000000,1795521610000000,1,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"fetch": 0.5}',NULL,NULL,'{"score": 87}',1,NULL);
INSERT INTO "jobs" VALUES('c4fcbf588f834591821791580b1f4933','ris','waiting','urgent','1.2.3','s3','[]','["s3://in/1"]',1,0,'ich','ich',NULL,'triage','["json", "sr"]',NULL,'{}',0,1795521607000000,1795521612000000,0,1,1795521667000000,NULL,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{}',NULL,NULL,NULL,NULL,NULL);
INSERT INTO "jobs" VALUES('435a5a42c6174723bce8f815bd9460c1','ris','completed','routine','1.2.840.99','pacs','[]','[]',0,0,'ich','',NULL,'','["json", "sr"]',NULL,'{}',0,1795521608000000,1795521608000000,1,1,1795522208000000,1795521608000000,1,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{}',NULL,NULL,'{}',1,NULL);
INSERT INTO "jobs" VALUES('e2102643497a47a69ebb4696c1e77f61','ris','completed','routine','1.2.840.99','pacs','[]','[]',0,0,'ich','',NULL,'','["json", "sr"]',NULL,'{}',0,1795521609000000,1795521609000000,1,1,1795522209000000,1795521609000000,1,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{}',NULL,NULL,'{}',1,NULL);
INSERT INTO "jobs" VALUES('de8dea7c232843f4be99377dec51ef1d','ris','queued','routine','1.2.840.7','pacs','[]','[]',0,0,'','',NULL,'','["json", "sr"]',NULL,'{}',0,1795521610000000,1795521610000000,1,1,1795522210000000,NULL,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{}',NULL,NULL,NULL,NULL,NULL);
CREATE TABLE readings (
	"key" VARCHAR(64) NOT NULL, 
	job_id VARCHAR(32) NOT NULL, 
	PRIMARY KEY ("key")
);
INSERT INTO "readings" VALUES('reading-key','7640064351eb4e2ebb1f9d2c48fc1594');
CREATE TABLE routing (
	model VARCHAR(64) NOT NULL, 
	revision INTEGER NOT NULL, 
	changed_at BIGINT NOT NULL, 
	document JSON NOT NULL, 
	PRIMARY KEY (model)
);
INSERT INTO "routing" VALUES('ich',2,1795521610000000,'{"version": "2", "weight_bp": 500, "salts": {"2": "abe4fe2d6ae0a12d"}, "mirror_bp": 10000, "shadow_bp": {}, "safety_net_bp": 10000, "pins": [{"key": "p:0123", "variant": "canary", "actor": "bob", "at": "2026-11-24T12:00:10Z"}], "rules": [], "ab": null, "in_advance": {}}');
CREATE TABLE routing_site (
	id INTEGER NOT NULL, 
	revision INTEGER NOT NULL, 
	freeze JSON, 
	PRIMARY KEY (id)
);
INSERT INTO "routing_site" VALUES(1,3,'{"actor": "alice", "reason": "a drill", "at": "2026-11-24T12:00:10Z", "revision": 3}');
CREATE TABLE schema_version (
	version INTEGER NOT NULL, 
	PRIMARY KEY (version)
);
INSERT INTO "schema_version" VALUES(6);
CREATE TABLE shadow_outcomes (
	job_id VARCHAR(32) NOT NULL, 
	app VARCHAR(255) NOT NULL, 
	role VARCHAR(16) NOT NULL, 
	model VARCHAR(64) NOT NULL, 
	version VARCHAR(64) NOT NULL, 
	variant VARCHAR(255) NOT NULL, 
	study_key VARCHAR(128) NOT NULL, 
	identity VARCHAR(200) NOT NULL, 
	delivered JSON NOT NULL, 
	outcome JSON, 
	error_code VARCHAR(64), 
	latency_ms FLOAT, 
	at BIGINT NOT NULL, 
	PRIMARY KEY (job_id, app, role)
);
INSERT INTO "shadow_outcomes" VALUES('435a5a42c6174723bce8f815bd9460c1','app-1','safety-net','ich','1','champion','study-key','patient:p','{"findings": [{"code": "1386000@SCT", "presence": "present"}]}','{"findings": []}',NULL,20.0,1795521608000000);
CREATE TABLE shadow_tasks (
	id VARCHAR(32) NOT NULL, 
	job_id VARCHAR(32) NOT NULL, 
	app VARCHAR(255) NOT NULL, 
	role VARCHAR(16) NOT NULL, 
	rank INTEGER NOT NULL, 
	model VARCHAR(64) NOT NULL, 
	version VARCHAR(64) NOT NULL, 
	variant VARCHAR(255) NOT NULL, 
	source VARCHAR(64) NOT NULL, 
	study_uid VARCHAR(64) NOT NULL, 
	series_uids JSON NOT NULL, 
	inputs JSON NOT NULL, 
	rule JSON NOT NULL, 
	study_key VARCHAR(128) NOT NULL, 
	decision JSON NOT NULL, 
	delivered JSON NOT NULL, 
	created_at BIGINT NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	not_before BIGINT NOT NULL, 
	attempt INTEGER NOT NULL, 
	losses INTEGER NOT NULL, 
	token VARCHAR(32), 
	worker VARCHAR(128), 
	lease_until BIGINT, 
	ended_at BIGINT, 
	error_code VARCHAR(64), 
	PRIMARY KEY (id), 
	UNIQUE (job_id, app, role)
);
INSERT INTO "shadow_tasks" VALUES('45e2cd77d57b462499a9a28fd43188fb','435a5a42c6174723bce8f815bd9460c1','app-3','shadow',1,'ich','3','shadow-next','pacs','1.2.840.99','["1.2.840.99.1"]','["s3://in/1"]','{"modalities": ["CT"]}','study-key','{"identity": "patient:p", "model": "ich", "generation": 1, "assignment_reason": "draw", "arm": "canary", "variant": "shadow-next", "version": "3", "digest": "d2", "role": "shadow", "outcome": "due", "reason": "bucket 62 lies in [0, 10000), so canary reads", "salt": "salt", "bucket": 62, "weight_bp": 10000, "segments": "canary:0-10000 baseline:10000-10000", "slot": "", "rule": null, "latency_ms": null, "epoch": 0, "assigned_at": null, "counts": true}','{"findings": [{"code": "1386000@SCT", "presence": "present"}]}',1795521608000000,'due',1795521608000000,1,0,'6647310d33e04d25983c9a228691d9e9','w',1795521618000000,NULL,NULL);
INSERT INTO "shadow_tasks" VALUES('ec79e02603e54f38a036596c2bfc01a1','435a5a42c6174723bce8f815bd9460c1','app-1','safety-net',0,'ich','1','champion','pacs','','[]','[]','{}','study-key','{"identity": "patient:p", "model": "ich", "generation": 1, "assignment_reason": "draw", "arm": "canary", "variant": "champion", "version": "1", "digest": "d2", "role": "safety-net", "outcome": "due", "reason": "bucket 62 lies in [0, 10000), so canary reads", "salt": "salt", "bucket": 62, "weight_bp": 10000, "segments": "canary:0-10000 baseline:10000-10000", "slot": "", "rule": null, "latency_ms": null, "epoch": 0, "assigned_at": null, "counts": true}','{}',1795521608000000,'done',1795521608000000,1,0,NULL,NULL,NULL,1795521608000000,NULL);
INSERT INTO "shadow_tasks" VALUES('9b018b2eb8ef4cd995877135ec6f62a1','e2102643497a47a69ebb4696c1e77f61','app-3','shadow',1,'ich','3','shadow-next','pacs','1.2.840.99','["1.2.840.99.1"]','["s3://in/1"]','{"modalities": ["CT"]}','study-key','{"identity": "patient:p", "model": "ich", "generation": 1, "assignment_reason": "draw", "arm": "canary", "variant": "shadow-next", "version": "3", "digest": "d2", "role": "shadow", "outcome": "due", "reason": "bucket 62 lies in [0, 10000), so canary reads", "salt": "salt", "bucket": 62, "weight_bp": 10000, "segments": "canary:0-10000 baseline:10000-10000", "slot": "", "rule": null, "latency_ms": null, "epoch": 0, "assigned_at": null, "counts": true}','{"findings": [{"code": "1386000@SCT", "presence": "present"}]}',1795521609000000,'due',1795521609000000,0,0,NULL,NULL,NULL,NULL,NULL);
CREATE TABLE transitions (
	sequence INTEGER NOT NULL, 
	at BIGINT NOT NULL, 
	model VARCHAR(64) NOT NULL, 
	alias VARCHAR(255) NOT NULL, 
	old VARCHAR(64), 
	new VARCHAR(64), 
	generation INTEGER NOT NULL, 
	reason TEXT NOT NULL, 
	PRIMARY KEY (sequence)
);
INSERT INTO "transitions" VALUES(1,1795521610000000,'ich','champion',NULL,'1',1,'first');
INSERT INTO "transitions" VALUES(2,1795521610000000,'ich','challenger',NULL,'2',2,'a person''s decision');
CREATE INDEX ix_jobs_token ON jobs (token);
CREATE INDEX jobs_to_claim ON jobs (state, rank, scheduled_at, not_before);
CREATE INDEX jobs_to_purge ON jobs (finished_at);
CREATE INDEX jobs_by_model ON jobs (model, created_at, id);
CREATE INDEX jobs_by_study ON jobs (study_uid, state);
CREATE INDEX jobs_by_age ON jobs (created_at, id);
CREATE INDEX ix_idempotency_job_id ON idempotency (job_id);
CREATE INDEX ix_readings_job_id ON readings (job_id);
CREATE INDEX ix_deliveries_job_id ON deliveries (job_id);
CREATE INDEX deliveries_due ON deliveries (state, not_before);
CREATE INDEX transitions_of_alias ON transitions (model, alias, sequence);
CREATE INDEX decisions_by_time ON decisions (model, at);
CREATE INDEX decisions_by_assignment ON decisions (model, assigned_at);
CREATE INDEX exposures_by_time ON exposures (model, at);
CREATE INDEX ix_shadow_tasks_token ON shadow_tasks (token);
CREATE INDEX shadow_tasks_to_claim ON shadow_tasks (state, app, rank, created_at);
CREATE INDEX ix_shadow_tasks_ended_at ON shadow_tasks (ended_at);
CREATE INDEX shadow_outcomes_by_time ON shadow_outcomes (model, at);
COMMIT;

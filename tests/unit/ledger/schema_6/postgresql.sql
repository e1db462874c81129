-- A ledger of schema 6, the last one before there were migrations, as `pg_dump --inserts` writes it.
CREATE TABLE public.audit (
    sequence integer NOT NULL,
    at bigint NOT NULL,
    actor character varying(128) NOT NULL,
    action character varying(64) NOT NULL,
    subject character varying(200) NOT NULL,
    detail json NOT NULL,
    previous character varying(64) NOT NULL,
    digest character varying(64) NOT NULL
);
CREATE SEQUENCE public.audit_sequence_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.audit_sequence_seq OWNED BY public.audit.sequence;
CREATE TABLE public.control_state (
    id integer NOT NULL,
    leader_epoch bigint NOT NULL,
    holder character varying(128) NOT NULL,
    renewed_at bigint NOT NULL,
    epoch bigint NOT NULL,
    generation bigint NOT NULL,
    published_at bigint,
    snapshot text,
    states text,
    digest character varying(64)
);
CREATE TABLE public.decisions (
    job_id character varying(32) NOT NULL,
    role character varying(16) NOT NULL,
    version character varying(64) NOT NULL,
    study_key character varying(128) NOT NULL,
    at bigint NOT NULL,
    identity character varying(200) NOT NULL,
    model character varying(64) NOT NULL,
    epoch integer NOT NULL,
    generation integer NOT NULL,
    assigned_at bigint NOT NULL,
    counts boolean NOT NULL,
    assignment_reason character varying(16) NOT NULL,
    arm character varying(255) NOT NULL,
    variant character varying(255) NOT NULL,
    digest character varying(128) NOT NULL,
    outcome text NOT NULL,
    reason text NOT NULL,
    salt character varying(64) NOT NULL,
    bucket integer,
    weight_bp integer NOT NULL,
    segments text NOT NULL,
    slot text NOT NULL,
    rule text,
    latency_ms double precision
);
CREATE TABLE public.deliveries (
    id character varying(32) NOT NULL,
    job_id character varying(32) NOT NULL,
    kind character varying(16) NOT NULL,
    destination text NOT NULL,
    lane text NOT NULL,
    document character varying(16),
    payload json,
    state character varying(16) NOT NULL,
    created_at bigint NOT NULL,
    attempt integer NOT NULL,
    losses integer NOT NULL,
    not_before bigint NOT NULL,
    worker character varying(128),
    lease_until bigint,
    error_code character varying(64),
    ended_at bigint
);
CREATE TABLE public.documents (
    job_id character varying(32) NOT NULL,
    kind character varying(16) NOT NULL,
    content bytea NOT NULL
);
CREATE TABLE public.escalations (
    sequence integer NOT NULL,
    at bigint NOT NULL,
    job_id character varying(32) NOT NULL,
    audience character varying(16) NOT NULL,
    digest character varying(64) NOT NULL,
    detail json NOT NULL
);
CREATE TABLE public.exposures (
    model character varying(64) NOT NULL,
    salt character varying(64) NOT NULL,
    identity character varying(200) NOT NULL,
    at bigint NOT NULL,
    job_id character varying(32) NOT NULL,
    study_key character varying(128) NOT NULL,
    generation integer NOT NULL,
    arm character varying(255) NOT NULL,
    version character varying(64) NOT NULL,
    weight_bp integer NOT NULL,
    segments text NOT NULL
);
CREATE TABLE public.idempotency (
    tenant character varying(64) NOT NULL,
    key character varying(200) NOT NULL,
    fingerprint character varying(64) NOT NULL,
    job_id character varying(32) NOT NULL
);
CREATE TABLE public.jobs (
    id character varying(32) NOT NULL,
    tenant character varying(64) NOT NULL,
    state character varying(16) NOT NULL,
    priority character varying(16) NOT NULL,
    study_uid character varying(64) NOT NULL,
    source character varying(64) NOT NULL,
    series_uids json NOT NULL,
    inputs json NOT NULL,
    by_object boolean NOT NULL,
    follow_up integer NOT NULL,
    model character varying(64) NOT NULL,
    requested_model character varying(64) NOT NULL,
    tester_variant character varying(255),
    inference_type character varying(16) NOT NULL,
    outputs json NOT NULL,
    callback text,
    context json NOT NULL,
    force boolean NOT NULL,
    created_at bigint NOT NULL,
    not_before bigint NOT NULL,
    called boolean NOT NULL,
    rank integer NOT NULL,
    scheduled_at bigint NOT NULL,
    finished_at bigint,
    attempt integer NOT NULL,
    losses integer NOT NULL,
    failing_since bigint,
    failing_kind character varying(16),
    token character varying(32),
    worker character varying(128),
    lease_until bigint,
    takeover_at bigint,
    stage character varying(32),
    stages_s json NOT NULL,
    error_code character varying(64),
    error_detail text,
    result json,
    result_version integer,
    same_as character varying(32)
);
CREATE TABLE public.readings (
    key character varying(64) NOT NULL,
    job_id character varying(32) NOT NULL
);
CREATE TABLE public.routing (
    model character varying(64) NOT NULL,
    revision integer NOT NULL,
    changed_at bigint NOT NULL,
    document json NOT NULL
);
CREATE TABLE public.routing_site (
    id integer NOT NULL,
    revision integer NOT NULL,
    "freeze" json
);
CREATE TABLE public.schema_version (
    version integer NOT NULL
);
CREATE SEQUENCE public.schema_version_version_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.schema_version_version_seq OWNED BY public.schema_version.version;
CREATE TABLE public.shadow_outcomes (
    job_id character varying(32) NOT NULL,
    app character varying(255) NOT NULL,
    role character varying(16) NOT NULL,
    model character varying(64) NOT NULL,
    version character varying(64) NOT NULL,
    variant character varying(255) NOT NULL,
    study_key character varying(128) NOT NULL,
    identity character varying(200) NOT NULL,
    delivered json NOT NULL,
    outcome json,
    error_code character varying(64),
    latency_ms double precision,
    at bigint NOT NULL
);
CREATE TABLE public.shadow_tasks (
    id character varying(32) NOT NULL,
    job_id character varying(32) NOT NULL,
    app character varying(255) NOT NULL,
    role character varying(16) NOT NULL,
    rank integer NOT NULL,
    model character varying(64) NOT NULL,
    version character varying(64) NOT NULL,
    variant character varying(255) NOT NULL,
    source character varying(64) NOT NULL,
    study_uid character varying(64) NOT NULL,
    series_uids json NOT NULL,
    inputs json NOT NULL,
    rule json NOT NULL,
    study_key character varying(128) NOT NULL,
    decision json NOT NULL,
    delivered json NOT NULL,
    created_at bigint NOT NULL,
    state character varying(16) NOT NULL,
    not_before bigint NOT NULL,
    attempt integer NOT NULL,
    losses integer NOT NULL,
    token character varying(32),
    worker character varying(128),
    lease_until bigint,
    ended_at bigint,
    error_code character varying(64)
);
CREATE TABLE public.transitions (
    sequence integer NOT NULL,
    at bigint NOT NULL,
    model character varying(64) NOT NULL,
    alias character varying(255) NOT NULL,
    old character varying(64),
    new character varying(64),
    generation integer NOT NULL,
    reason text NOT NULL
);
ALTER TABLE ONLY public.audit ALTER COLUMN sequence SET DEFAULT nextval('public.audit_sequence_seq'::regclass);
ALTER TABLE ONLY public.schema_version ALTER COLUMN version SET DEFAULT nextval('public.schema_version_version_seq'::regclass);
INSERT INTO public.audit VALUES (1, 1795521610000000, 'registry', 'alias-moved', 'ich', '{"alias": "champion", "old": null, "new": "1", "generation": 1, "reason": "first"}', '0000000000000000000000000000000000000000000000000000000000000000', '3e00a6d3f03ce43bf54fbe7377436f627fe58d1d1a2535794c87bdf31b8d3378');
INSERT INTO public.audit VALUES (2, 1795521610000000, 'registry', 'alias-moved', 'ich', '{"alias": "challenger", "old": null, "new": "2", "generation": 2, "reason": "a person''s decision"}', '3e00a6d3f03ce43bf54fbe7377436f627fe58d1d1a2535794c87bdf31b8d3378', '04e385cdb11de9e3780c92713b215ea8b86cef0763bf6061c935425ec62a388b');
INSERT INTO public.audit VALUES (3, 1795521610000000, 'alice', 'route-weight', 'ich', '{"version": "2", "weight_bp": 500, "was": {"version": null, "weight_bp": 0}}', '04e385cdb11de9e3780c92713b215ea8b86cef0763bf6061c935425ec62a388b', 'bd1b37c476cd6914b4bf3e5cd95c0d7bf49d83a4b91b389ec2deaa16c9f5a6ad');
INSERT INTO public.audit VALUES (4, 1795521610000000, 'bob', 'route-pin', 'ich', '{"key": "p:0123", "variant": "canary", "was": null}', 'bd1b37c476cd6914b4bf3e5cd95c0d7bf49d83a4b91b389ec2deaa16c9f5a6ad', 'fa65edddb7ce8df803092c15d36aafb7c881610183ac42b4fc57a826a8a20399');
INSERT INTO public.audit VALUES (5, 1795521610000000, 'alice', 'freeze', 'site', '{"reason": "a drill", "revision": 3}', 'fa65edddb7ce8df803092c15d36aafb7c881610183ac42b4fc57a826a8a20399', 'b4aed5e7d750df654dfa53c6ab513a8a3eb39816f69c69b044dae27b74fad0ca');
INSERT INTO public.control_state VALUES (1, 1, 'controller-1', 1795521610000000, 1, 1, 1795521610000000, '{"tables": {}}', '{"states": {}}', 'fa1ca836ace5ec86cf41167f69b03ddff21afe1a4949867a9ebd6bce29a0343e');
INSERT INTO public.decisions VALUES ('6945d3b7fbdc431b93b6cc4686ae4991', 'answered', '2', 'study-key', 1795521608000000, 'patient:p', 'ich', 0, 1, 1795521608000000, true, 'draw', 'canary', 'canary', 'd2', 'normal', 'bucket 62 lies in [0, 10000), so canary reads', 'salt', 62, 10000, 'canary:0-10000 baseline:10000-10000', '', NULL, 12.5);
INSERT INTO public.decisions VALUES ('6945d3b7fbdc431b93b6cc4686ae4991', 'shadow', '3', 'study-key', 1795521608000000, 'patient:p', 'ich', 0, 1, 1795521608000000, true, 'draw', 'canary', 'shadow-next', 'd2', 'due', 'bucket 62 lies in [0, 10000), so canary reads', 'salt', 62, 10000, 'canary:0-10000 baseline:10000-10000', '', NULL, NULL);
INSERT INTO public.decisions VALUES ('6945d3b7fbdc431b93b6cc4686ae4991', 'safety-net', '1', 'study-key', 1795521608000000, 'patient:p', 'ich', 0, 1, 1795521608000000, true, 'draw', 'canary', 'champion', 'd2', 'read', 'bucket 62 lies in [0, 10000), so canary reads', 'salt', 62, 10000, 'canary:0-10000 baseline:10000-10000', '', NULL, 20);
INSERT INTO public.decisions VALUES ('d2be36534cd345b4ae68d538c081fb2d', 'failed', '2', 'study-key', 1795521609000000, 'patient:q', 'ich', 0, 1, 1795521609000000, true, 'draw', 'canary', 'canary', 'd2', 'model-error', 'bucket 1987 lies in [0, 10000), so canary reads', 'salt', 1987, 10000, 'canary:0-10000 baseline:10000-10000', '', NULL, 12.5);
INSERT INTO public.decisions VALUES ('d2be36534cd345b4ae68d538c081fb2d', 'answered', '1', 'study-key', 1795521609000000, 'patient:q', 'ich', 0, 1, 1795521609000000, true, 'draw', 'canary', 'champion', 'd1', 'normal', 'bucket 1987 lies in [0, 10000), so canary reads', 'salt', 1987, 10000, 'canary:0-10000 baseline:10000-10000', '', NULL, 12.5);
INSERT INTO public.decisions VALUES ('d2be36534cd345b4ae68d538c081fb2d', 'shadow', '3', 'study-key', 1795521609000000, 'patient:p', 'ich', 0, 1, 1795521609000000, true, 'draw', 'canary', 'shadow-next', 'd2', 'due', 'bucket 62 lies in [0, 10000), so canary reads', 'salt', 62, 10000, 'canary:0-10000 baseline:10000-10000', '', NULL, NULL);
INSERT INTO public.deliveries VALUES ('0cca39db3a6a4b33bd31c0079ec67328', '24cdb0c30cbb48c1a8d111ac10ca37a1', 'stow', 'pacs', 'pacs', 'sr', 'null', 'done', 1795521600000000, 1, 0, 1795521600000000, NULL, NULL, NULL, 1795521601000000);
INSERT INTO public.deliveries VALUES ('26f14c434ff94f13aaf963d342e71377', '24cdb0c30cbb48c1a8d111ac10ca37a1', 'callback', 'https://ris.example/hook', 'https://ris.example', NULL, '{"id": "x"}', 'dead', 1795521600000000, 1, 0, 1795521600000000, NULL, NULL, 'callback-failed', 1795521601000000);
INSERT INTO public.deliveries VALUES ('12142cdc7b90451c86ccc0143301cc39', 'ca3f0bfdaea34c3192b18fd96acfb86b', 'stow', 'pacs', 'pacs', 'sr', 'null', 'due', 1795521602000000, 0, 0, 1795521602000000, NULL, NULL, NULL, NULL);
INSERT INTO public.documents VALUES ('24cdb0c30cbb48c1a8d111ac10ca37a1', 'sr', '\x4449434d');
INSERT INTO public.documents VALUES ('ca3f0bfdaea34c3192b18fd96acfb86b', 'sr', '\x4449434d');
INSERT INTO public.documents VALUES ('bb8cb9e00234469eabdb30fa4fa1ce82', 'sr', '\x4449434d');
INSERT INTO public.escalations VALUES (1, 1795521609000000, '6945d3b7fbdc431b93b6cc4686ae4991', 'caller', '1b1a8b2ab4aeed42ba61359956dc244756ee03148823bb731d47f365bef6845f', '{"study_key": "study-key", "finding": "1386000@SCT"}');
INSERT INTO public.exposures VALUES ('ich', 'salt', 'patient:p', 1795521608000000, '6945d3b7fbdc431b93b6cc4686ae4991', 'study-key', 1, 'canary', '2', 10000, 'canary:0-10000 baseline:10000-10000');
INSERT INTO public.exposures VALUES ('ich', 'salt', 'patient:q', 1795521609000000, 'd2be36534cd345b4ae68d538c081fb2d', 'study-key', 1, 'canary', '2', 10000, 'canary:0-10000 baseline:10000-10000');
INSERT INTO public.idempotency VALUES ('ris', 'k', '85c0101c8d3796aae27764ad40021c1787b543373b1d053ea232378af46d64a6', 'bb8cb9e00234469eabdb30fa4fa1ce82');
INSERT INTO public.jobs VALUES ('24cdb0c30cbb48c1a8d111ac10ca37a1', 'ris', 'completed', 'routine', '1.2.840.1', 'pacs', '[]', '[]', false, 0, 'ich', '', NULL, '', '["json", "sr"]', NULL, '{}', false, 1795521600000000, 1795521600000000, true, 1, 1795522200000000, 1795521601000000, 1, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '{"fetch": 0.5}', NULL, NULL, '{"score": 87}', 1, NULL);
INSERT INTO public.jobs VALUES ('ca3f0bfdaea34c3192b18fd96acfb86b', 'ris', 'storing', 'stat', '1.2.840.2', 'pacs', '[]', '[]', false, 0, 'ich', '', NULL, '', '["json", "sr"]', NULL, '{"ward": "ED"}', false, 1795521602000000, 1795521602000000, true, 0, 1795521602000000, NULL, 1, 0, NULL, NULL, NULL, NULL, NULL, NULL, 'store', '{"fetch": 0.5}', NULL, NULL, '{"score": 87}', 1, NULL);
INSERT INTO public.jobs VALUES ('6b232a7eb65c499494298ba5041619a9', 'ris', 'failed', 'routine', '1.2.840.3', 'pacs', '[]', '[]', false, 0, '', '', NULL, '', '["json", "sr"]', NULL, '{}', false, 1795521603000000, 1795521603000000, true, 1, 1795522203000000, 1795521603000000, 1, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '{}', 'model-error', 'no such thing', NULL, NULL, NULL);
INSERT INTO public.jobs VALUES ('388b770c10364b61b1666ca50e3bec5e', 'ris', 'canceled', 'routine', '1.2.840.4', 'pacs', '[]', '[]', false, 0, '', '', NULL, '', '["json", "sr"]', NULL, '{}', false, 1795521604000000, 1795521604000000, true, 1, 1795522204000000, 1795521604000000, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '{}', NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.jobs VALUES ('8751504a7e51489693637014eb0267a9', 'ris', 'running', 'routine', '1.2.840.5', 'pacs', '[]', '[]', false, 0, '', '', NULL, '', '["json", "sr"]', NULL, '{}', false, 1795521605000000, 1795521605000000, true, 1, 1795522205000000, NULL, 1, 0, NULL, NULL, '2815a113e11949aeb9e11e39b35759cb', 'a', 1795521615000000, 1795521615000000, NULL, '{}', NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.jobs VALUES ('3a0f6bf9faa24ef0b1e533defbdb9cab', 'ris', 'waiting', 'urgent', '1.2.3', 's3', '[]', '["s3://in/1"]', true, 0, 'ich', 'ich', NULL, 'triage', '["json", "sr"]', NULL, '{}', false, 1795521607000000, 1795521612000000, false, 1, 1795521667000000, NULL, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '{}', NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.jobs VALUES ('6945d3b7fbdc431b93b6cc4686ae4991', 'ris', 'completed', 'routine', '1.2.840.99', 'pacs', '[]', '[]', false, 0, 'ich', '', NULL, '', '["json", "sr"]', NULL, '{}', false, 1795521608000000, 1795521608000000, true, 1, 1795522208000000, 1795521608000000, 1, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '{}', NULL, NULL, '{}', 1, NULL);
INSERT INTO public.jobs VALUES ('d2be36534cd345b4ae68d538c081fb2d', 'ris', 'completed', 'routine', '1.2.840.99', 'pacs', '[]', '[]', false, 0, 'ich', '', NULL, '', '["json", "sr"]', NULL, '{}', false, 1795521609000000, 1795521609000000, true, 1, 1795522209000000, 1795521609000000, 1, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '{}', NULL, NULL, '{}', 1, NULL);
INSERT INTO public.jobs VALUES ('ab54bd9b73544af8a69564f00a84a5ae', 'ris', 'queued', 'routine', '1.2.840.7', 'pacs', '[]', '[]', false, 0, '', '', NULL, '', '["json", "sr"]', NULL, '{}', false, 1795521610000000, 1795521610000000, true, 1, 1795522210000000, NULL, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '{}', NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.jobs VALUES ('bb8cb9e00234469eabdb30fa4fa1ce82', 'ris', 'completed', 'routine', '1.2.840.6', 'pacs', '[]', '[]', false, 0, 'ich', '', NULL, '', '["json", "sr"]', NULL, '{}', false, 1795521606000000, 1795521606000000, true, 1, 1795522206000000, 1795521610000000, 1, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '{"fetch": 0.5}', NULL, NULL, '{"score": 87}', 1, NULL);
INSERT INTO public.readings VALUES ('reading-key', 'bb8cb9e00234469eabdb30fa4fa1ce82');
INSERT INTO public.routing VALUES ('ich', 2, 1795521610000000, '{"version": "2", "weight_bp": 500, "salts": {"2": "b958fe2ff71386b1"}, "mirror_bp": 10000, "shadow_bp": {}, "safety_net_bp": 10000, "pins": [{"key": "p:0123", "variant": "canary", "actor": "bob", "at": "2026-11-24T12:00:10Z"}], "rules": [], "ab": null, "in_advance": {}}');
INSERT INTO public.routing_site VALUES (1, 3, '{"actor": "alice", "reason": "a drill", "at": "2026-11-24T12:00:10Z", "revision": 3}');
INSERT INTO public.schema_version VALUES (6);
INSERT INTO public.shadow_outcomes VALUES ('6945d3b7fbdc431b93b6cc4686ae4991', 'app-1', 'safety-net', 'ich', '1', 'champion', 'study-key', 'patient:p', '{"findings": [{"code": "1386000@SCT", "presence": "present"}]}', '{"findings": []}', NULL, 20, 1795521608000000);
INSERT INTO public.shadow_tasks VALUES ('9bdbe37327714cc7b02210285d30c70f', '6945d3b7fbdc431b93b6cc4686ae4991', 'app-3', 'shadow', 1, 'ich', '3', 'shadow-next', 'pacs', '1.2.840.99', '["1.2.840.99.1"]', '["s3://in/1"]', '{"modalities": ["CT"]}', 'study-key', '{"identity": "patient:p", "model": "ich", "generation": 1, "assignment_reason": "draw", "arm": "canary", "variant": "shadow-next", "version": "3", "digest": "d2", "role": "shadow", "outcome": "due", "reason": "bucket 62 lies in [0, 10000), so canary reads", "salt": "salt", "bucket": 62, "weight_bp": 10000, "segments": "canary:0-10000 baseline:10000-10000", "slot": "", "rule": null, "latency_ms": null, "epoch": 0, "assigned_at": null, "counts": true}', '{"findings": [{"code": "1386000@SCT", "presence": "present"}]}', 1795521608000000, 'due', 1795521608000000, 1, 0, '6eb37932392647038bd37419ff2ffb61', 'w', 1795521618000000, NULL, NULL);
INSERT INTO public.shadow_tasks VALUES ('91c26511481848008de16261bffc774d', '6945d3b7fbdc431b93b6cc4686ae4991', 'app-1', 'safety-net', 0, 'ich', '1', 'champion', 'pacs', '', '[]', '[]', '{}', 'study-key', '{"identity": "patient:p", "model": "ich", "generation": 1, "assignment_reason": "draw", "arm": "canary", "variant": "champion", "version": "1", "digest": "d2", "role": "safety-net", "outcome": "due", "reason": "bucket 62 lies in [0, 10000), so canary reads", "salt": "salt", "bucket": 62, "weight_bp": 10000, "segments": "canary:0-10000 baseline:10000-10000", "slot": "", "rule": null, "latency_ms": null, "epoch": 0, "assigned_at": null, "counts": true}', '{}', 1795521608000000, 'done', 1795521608000000, 1, 0, NULL, NULL, NULL, 1795521608000000, NULL);
INSERT INTO public.shadow_tasks VALUES ('e6d8afa658c04b72a9bad40ec946ba5c', 'd2be36534cd345b4ae68d538c081fb2d', 'app-3', 'shadow', 1, 'ich', '3', 'shadow-next', 'pacs', '1.2.840.99', '["1.2.840.99.1"]', '["s3://in/1"]', '{"modalities": ["CT"]}', 'study-key', '{"identity": "patient:p", "model": "ich", "generation": 1, "assignment_reason": "draw", "arm": "canary", "variant": "shadow-next", "version": "3", "digest": "d2", "role": "shadow", "outcome": "due", "reason": "bucket 62 lies in [0, 10000), so canary reads", "salt": "salt", "bucket": 62, "weight_bp": 10000, "segments": "canary:0-10000 baseline:10000-10000", "slot": "", "rule": null, "latency_ms": null, "epoch": 0, "assigned_at": null, "counts": true}', '{"findings": [{"code": "1386000@SCT", "presence": "present"}]}', 1795521609000000, 'due', 1795521609000000, 0, 0, NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.transitions VALUES (1, 1795521610000000, 'ich', 'champion', NULL, '1', 1, 'first');
INSERT INTO public.transitions VALUES (2, 1795521610000000, 'ich', 'challenger', NULL, '2', 2, 'a person''s decision');
SELECT pg_catalog.setval('public.audit_sequence_seq', 1, false);
SELECT pg_catalog.setval('public.schema_version_version_seq', 1, false);
ALTER TABLE ONLY public.audit
    ADD CONSTRAINT audit_pkey PRIMARY KEY (sequence);
ALTER TABLE ONLY public.control_state
    ADD CONSTRAINT control_state_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.decisions
    ADD CONSTRAINT decisions_pkey PRIMARY KEY (job_id, role, version);
ALTER TABLE ONLY public.deliveries
    ADD CONSTRAINT deliveries_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.documents
    ADD CONSTRAINT documents_pkey PRIMARY KEY (job_id, kind);
ALTER TABLE ONLY public.escalations
    ADD CONSTRAINT escalations_job_id_digest_key UNIQUE (job_id, digest);
ALTER TABLE ONLY public.escalations
    ADD CONSTRAINT escalations_pkey PRIMARY KEY (sequence);
ALTER TABLE ONLY public.exposures
    ADD CONSTRAINT exposures_pkey PRIMARY KEY (model, salt, identity);
ALTER TABLE ONLY public.idempotency
    ADD CONSTRAINT idempotency_pkey PRIMARY KEY (tenant, key);
ALTER TABLE ONLY public.jobs
    ADD CONSTRAINT jobs_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.readings
    ADD CONSTRAINT readings_pkey PRIMARY KEY (key);
ALTER TABLE ONLY public.routing
    ADD CONSTRAINT routing_pkey PRIMARY KEY (model);
ALTER TABLE ONLY public.routing_site
    ADD CONSTRAINT routing_site_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.schema_version
    ADD CONSTRAINT schema_version_pkey PRIMARY KEY (version);
ALTER TABLE ONLY public.shadow_outcomes
    ADD CONSTRAINT shadow_outcomes_pkey PRIMARY KEY (job_id, app, role);
ALTER TABLE ONLY public.shadow_tasks
    ADD CONSTRAINT shadow_tasks_job_id_app_role_key UNIQUE (job_id, app, role);
ALTER TABLE ONLY public.shadow_tasks
    ADD CONSTRAINT shadow_tasks_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.transitions
    ADD CONSTRAINT transitions_pkey PRIMARY KEY (sequence);
CREATE INDEX decisions_by_assignment ON public.decisions USING btree (model, assigned_at);
CREATE INDEX decisions_by_time ON public.decisions USING btree (model, at);
CREATE INDEX deliveries_due ON public.deliveries USING btree (state, not_before);
CREATE INDEX exposures_by_time ON public.exposures USING btree (model, at);
CREATE INDEX ix_deliveries_job_id ON public.deliveries USING btree (job_id);
CREATE INDEX ix_idempotency_job_id ON public.idempotency USING btree (job_id);
CREATE INDEX ix_jobs_token ON public.jobs USING btree (token);
CREATE INDEX ix_readings_job_id ON public.readings USING btree (job_id);
CREATE INDEX ix_shadow_tasks_ended_at ON public.shadow_tasks USING btree (ended_at);
CREATE INDEX ix_shadow_tasks_token ON public.shadow_tasks USING btree (token);
CREATE INDEX jobs_by_age ON public.jobs USING btree (created_at, id);
CREATE INDEX jobs_by_model ON public.jobs USING btree (model, created_at, id);
CREATE INDEX jobs_by_study ON public.jobs USING btree (study_uid, state);
CREATE INDEX jobs_to_claim ON public.jobs USING btree (state, rank, scheduled_at, not_before);
CREATE INDEX jobs_to_purge ON public.jobs USING btree (finished_at);
CREATE INDEX shadow_outcomes_by_time ON public.shadow_outcomes USING btree (model, at);
CREATE INDEX shadow_tasks_to_claim ON public.shadow_tasks USING btree (state, app, rank, created_at);
CREATE INDEX transitions_of_alias ON public.transitions USING btree (model, alias, sequence);

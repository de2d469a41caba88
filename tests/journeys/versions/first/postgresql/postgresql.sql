--
-- PostgreSQL database dump
--

\restrict 7AGmUeEGrdVyV4TGUigYPcUfMtEDIKT8icWixf98JTncDHlauPatqHYKbjqp2I3

-- Dumped from database version 18.6
-- Dumped by pg_dump version 18.6

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET transaction_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- Name: measurements; Type: SCHEMA; Schema: -; Owner: -
--

CREATE SCHEMA measurements;


SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: blind_interval; Type: TABLE; Schema: measurements; Owner: -
--

CREATE TABLE measurements.blind_interval (
    id bigint NOT NULL,
    role character varying(16) NOT NULL,
    location character varying(50) NOT NULL,
    start bigint NOT NULL,
    "end" bigint NOT NULL
);


--
-- Name: blind_interval_id_seq; Type: SEQUENCE; Schema: measurements; Owner: -
--

CREATE SEQUENCE measurements.blind_interval_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


--
-- Name: blind_interval_id_seq; Type: SEQUENCE OWNED BY; Schema: measurements; Owner: -
--

ALTER SEQUENCE measurements.blind_interval_id_seq OWNED BY measurements.blind_interval.id;


--
-- Name: dirty_period; Type: TABLE; Schema: measurements; Owner: -
--

CREATE TABLE measurements.dirty_period (
    target_id bigint NOT NULL,
    resolution character varying(8) NOT NULL,
    start bigint NOT NULL,
    ready_at bigint NOT NULL
);


--
-- Name: instance; Type: TABLE; Schema: measurements; Owner: -
--

CREATE TABLE measurements.instance (
    id integer NOT NULL,
    uuid uuid NOT NULL,
    created_at bigint NOT NULL
);


--
-- Name: monitor_state; Type: TABLE; Schema: measurements; Owner: -
--

CREATE TABLE measurements.monitor_state (
    monitor uuid NOT NULL,
    slug character varying(100) NOT NULL,
    name character varying(200) NOT NULL,
    kind character varying(32) NOT NULL,
    revision integer NOT NULL,
    quorum integer NOT NULL,
    status character varying(16) NOT NULL,
    since bigint NOT NULL,
    seq integer NOT NULL,
    paused boolean NOT NULL,
    removed character varying(16),
    removed_at bigint,
    consumed_seq integer NOT NULL,
    leased_until bigint,
    leased_by character varying(100)
);


--
-- Name: ping; Type: TABLE; Schema: measurements; Owner: -
--

CREATE TABLE measurements.ping (
    id bigint NOT NULL,
    monitor uuid NOT NULL,
    received_at bigint NOT NULL,
    action character varying(16) NOT NULL,
    exit_code integer,
    run uuid,
    duration_ns bigint,
    method character varying(8) NOT NULL,
    source character varying(64) NOT NULL,
    user_agent character varying(200) NOT NULL,
    body bytea NOT NULL,
    body_size integer NOT NULL
);


--
-- Name: ping_code; Type: TABLE; Schema: measurements; Owner: -
--

CREATE TABLE measurements.ping_code (
    code uuid NOT NULL,
    monitor uuid NOT NULL,
    created_at bigint NOT NULL
);


--
-- Name: ping_id_seq; Type: SEQUENCE; Schema: measurements; Owner: -
--

CREATE SEQUENCE measurements.ping_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


--
-- Name: ping_id_seq; Type: SEQUENCE OWNED BY; Schema: measurements; Owner: -
--

ALTER SEQUENCE measurements.ping_id_seq OWNED BY measurements.ping.id;


--
-- Name: result; Type: TABLE; Schema: measurements; Owner: -
--

CREATE TABLE measurements.result (
    id bigint NOT NULL,
    target_id bigint NOT NULL,
    due_at bigint NOT NULL,
    started_at bigint NOT NULL,
    outcome character varying(16) NOT NULL,
    latency_ns bigint,
    dns_ns bigint,
    connect_ns bigint,
    tls_ns bigint,
    first_byte_ns bigint,
    transfer_ns bigint,
    other_ns bigint,
    failure jsonb,
    evidence jsonb
);


--
-- Name: result_id_seq; Type: SEQUENCE; Schema: measurements; Owner: -
--

CREATE SEQUENCE measurements.result_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


--
-- Name: result_id_seq; Type: SEQUENCE OWNED BY; Schema: measurements; Owner: -
--

ALTER SEQUENCE measurements.result_id_seq OWNED BY measurements.result.id;


--
-- Name: rollup; Type: TABLE; Schema: measurements; Owner: -
--

CREATE TABLE measurements.rollup (
    target_id bigint NOT NULL,
    resolution character varying(8) NOT NULL,
    start bigint NOT NULL,
    phase character varying(16) NOT NULL,
    histogram bytea NOT NULL,
    complete integer NOT NULL,
    incomplete integer NOT NULL,
    up integer NOT NULL,
    degraded integer NOT NULL,
    down integer NOT NULL,
    unknown integer NOT NULL
);


--
-- Name: sign_of_life; Type: TABLE; Schema: measurements; Owner: -
--

CREATE TABLE measurements.sign_of_life (
    process character varying(100) NOT NULL,
    role character varying(16) NOT NULL,
    location character varying(50) NOT NULL,
    started_at bigint NOT NULL,
    at bigint NOT NULL
);


--
-- Name: store_revision; Type: TABLE; Schema: measurements; Owner: -
--

CREATE TABLE measurements.store_revision (
    version_num character varying(32) NOT NULL
);


--
-- Name: target; Type: TABLE; Schema: measurements; Owner: -
--

CREATE TABLE measurements.target (
    id bigint NOT NULL,
    monitor uuid NOT NULL,
    location character varying(50) NOT NULL,
    source character varying(16) NOT NULL,
    revision integer NOT NULL,
    spec jsonb NOT NULL,
    active boolean NOT NULL,
    interval_seconds double precision NOT NULL,
    retry_seconds double precision NOT NULL,
    fence integer NOT NULL,
    next_due_at bigint,
    leased_until bigint,
    leased_by character varying(100),
    skipped_slots integer NOT NULL,
    vote character varying(16) NOT NULL,
    vote_since bigint,
    last_outcome character varying(16),
    last_result_at bigint,
    serving_run integer NOT NULL,
    serving_since bigint,
    healthy_run integer NOT NULL,
    healthy_since bigint,
    last_latency_ns bigint,
    last_failure jsonb,
    deadline_at bigint,
    last_ping_at bigint,
    last_start_at bigint,
    last_duration_ns bigint
);


--
-- Name: target_id_seq; Type: SEQUENCE; Schema: measurements; Owner: -
--

CREATE SEQUENCE measurements.target_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


--
-- Name: target_id_seq; Type: SEQUENCE OWNED BY; Schema: measurements; Owner: -
--

ALTER SEQUENCE measurements.target_id_seq OWNED BY measurements.target.id;


--
-- Name: transition; Type: TABLE; Schema: measurements; Owner: -
--

CREATE TABLE measurements.transition (
    uuid uuid NOT NULL,
    monitor uuid NOT NULL,
    seq integer NOT NULL,
    at bigint NOT NULL,
    since bigint NOT NULL,
    from_status character varying(16) NOT NULL,
    to_status character varying(16) NOT NULL,
    cause character varying(16) NOT NULL,
    evidence jsonb NOT NULL,
    consumed_at bigint
);


--
-- Name: trouble; Type: TABLE; Schema: measurements; Owner: -
--

CREATE TABLE measurements.trouble (
    what character varying(64) NOT NULL,
    message character varying(500) NOT NULL,
    since bigint NOT NULL,
    seen_at bigint NOT NULL
);


--
-- Name: auth_group; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.auth_group (
    id integer NOT NULL,
    name character varying(150) NOT NULL
);


--
-- Name: auth_group_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.auth_group ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.auth_group_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: auth_group_permissions; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.auth_group_permissions (
    id bigint NOT NULL,
    group_id integer NOT NULL,
    permission_id integer NOT NULL
);


--
-- Name: auth_group_permissions_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.auth_group_permissions ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.auth_group_permissions_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: auth_permission; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.auth_permission (
    id integer NOT NULL,
    name character varying(255) NOT NULL,
    content_type_id integer NOT NULL,
    codename character varying(100) NOT NULL
);


--
-- Name: auth_permission_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.auth_permission ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.auth_permission_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: auth_user; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.auth_user (
    id integer NOT NULL,
    password character varying(128) NOT NULL,
    last_login timestamp with time zone,
    is_superuser boolean NOT NULL,
    username character varying(150) NOT NULL,
    first_name character varying(150) NOT NULL,
    last_name character varying(150) NOT NULL,
    email character varying(254) NOT NULL,
    is_staff boolean NOT NULL,
    is_active boolean NOT NULL,
    date_joined timestamp with time zone NOT NULL
);


--
-- Name: auth_user_groups; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.auth_user_groups (
    id bigint NOT NULL,
    user_id integer NOT NULL,
    group_id integer NOT NULL
);


--
-- Name: auth_user_groups_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.auth_user_groups ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.auth_user_groups_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: auth_user_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.auth_user ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.auth_user_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: auth_user_user_permissions; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.auth_user_user_permissions (
    id bigint NOT NULL,
    user_id integer NOT NULL,
    permission_id integer NOT NULL
);


--
-- Name: auth_user_user_permissions_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.auth_user_user_permissions ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.auth_user_user_permissions_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: django_admin_log; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.django_admin_log (
    id integer NOT NULL,
    action_time timestamp with time zone NOT NULL,
    object_id text,
    object_repr character varying(200) NOT NULL,
    action_flag smallint NOT NULL,
    change_message text NOT NULL,
    content_type_id integer,
    user_id integer NOT NULL,
    CONSTRAINT django_admin_log_action_flag_check CHECK ((action_flag >= 0))
);


--
-- Name: django_admin_log_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.django_admin_log ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.django_admin_log_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: django_content_type; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.django_content_type (
    id integer NOT NULL,
    app_label character varying(100) NOT NULL,
    model character varying(100) NOT NULL
);


--
-- Name: django_content_type_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.django_content_type ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.django_content_type_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: django_migrations; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.django_migrations (
    id bigint NOT NULL,
    app character varying(255) NOT NULL,
    name character varying(255) NOT NULL,
    applied timestamp with time zone NOT NULL
);


--
-- Name: django_migrations_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.django_migrations ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.django_migrations_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: django_session; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.django_session (
    session_key character varying(40) NOT NULL,
    session_data text NOT NULL,
    expire_date timestamp with time zone NOT NULL
);


--
-- Name: monitoring_alertrule; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.monitoring_alertrule (
    uuid uuid NOT NULL,
    name character varying(100) NOT NULL,
    owner character varying(8) NOT NULL,
    "when" character varying(16) NOT NULL,
    match jsonb NOT NULL,
    remind_seconds double precision
);


--
-- Name: monitoring_alertrulechannel; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.monitoring_alertrulechannel (
    id bigint NOT NULL,
    "position" smallint NOT NULL,
    rule_id uuid NOT NULL,
    channel_id uuid NOT NULL,
    CONSTRAINT monitoring_alertrulechannel_position_check CHECK (("position" >= 0))
);


--
-- Name: monitoring_alertrulechannel_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.monitoring_alertrulechannel ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.monitoring_alertrulechannel_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: monitoring_channel; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.monitoring_channel (
    uuid uuid NOT NULL,
    name character varying(100) NOT NULL,
    sealed_url text NOT NULL,
    owner character varying(8) NOT NULL,
    recipients smallint NOT NULL,
    fallback boolean NOT NULL,
    broken_since timestamp with time zone,
    last_error character varying(500) NOT NULL,
    CONSTRAINT monitoring_channel_recipients_check CHECK ((recipients >= 0))
);


--
-- Name: monitoring_component; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.monitoring_component (
    id bigint NOT NULL,
    name character varying(200) NOT NULL,
    description character varying(500) NOT NULL,
    "position" smallint NOT NULL,
    group_id bigint NOT NULL,
    monitor_id uuid NOT NULL,
    CONSTRAINT monitoring_component_position_check CHECK (("position" >= 0))
);


--
-- Name: monitoring_component_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.monitoring_component ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.monitoring_component_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: monitoring_componentgroup; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.monitoring_componentgroup (
    id bigint NOT NULL,
    name character varying(200) NOT NULL,
    "position" smallint NOT NULL,
    page_id bigint NOT NULL,
    CONSTRAINT monitoring_componentgroup_position_check CHECK (("position" >= 0))
);


--
-- Name: monitoring_componentgroup_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.monitoring_componentgroup ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.monitoring_componentgroup_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: monitoring_configurationfile; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.monitoring_configurationfile (
    id bigint NOT NULL,
    path character varying(1000) NOT NULL,
    applied_at timestamp with time zone,
    digests jsonb NOT NULL,
    refused_at timestamp with time zone,
    problems text NOT NULL
);


--
-- Name: monitoring_configurationfile_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.monitoring_configurationfile ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.monitoring_configurationfile_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: monitoring_consumedtransition; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.monitoring_consumedtransition (
    transition uuid NOT NULL,
    store uuid NOT NULL,
    monitor uuid NOT NULL,
    seq integer NOT NULL,
    CONSTRAINT monitoring_consumedtransition_seq_check CHECK ((seq >= 0))
);


--
-- Name: monitoring_incident; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.monitoring_incident (
    uuid uuid NOT NULL,
    monitor_uuid uuid,
    monitor_name character varying(200) NOT NULL,
    cause character varying(100) NOT NULL,
    summary character varying(500) NOT NULL,
    opened_at timestamp with time zone NOT NULL,
    detected_at timestamp with time zone NOT NULL,
    resolved_at timestamp with time zone,
    resolution character varying(16) NOT NULL,
    evidence jsonb NOT NULL,
    monitor_id uuid
);


--
-- Name: monitoring_incidentupdate; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.monitoring_incidentupdate (
    id bigint NOT NULL,
    at timestamp with time zone NOT NULL,
    kind character varying(16) NOT NULL,
    text text NOT NULL,
    public boolean NOT NULL,
    incident_id uuid NOT NULL
);


--
-- Name: monitoring_incidentupdate_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.monitoring_incidentupdate ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.monitoring_incidentupdate_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: monitoring_knownstore; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.monitoring_knownstore (
    uuid uuid NOT NULL,
    seen_at timestamp with time zone NOT NULL
);


--
-- Name: monitoring_monitor; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.monitoring_monitor (
    uuid uuid NOT NULL,
    slug character varying(100) NOT NULL,
    name character varying(200) NOT NULL,
    kind character varying(32) NOT NULL,
    spec jsonb NOT NULL,
    owner character varying(8) NOT NULL,
    revision integer NOT NULL,
    paused boolean NOT NULL,
    ping_code uuid NOT NULL,
    retired_at timestamp with time zone,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    CONSTRAINT monitoring_monitor_revision_check CHECK ((revision >= 0))
);


--
-- Name: monitoring_notification; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.monitoring_notification (
    uuid uuid NOT NULL,
    key character varying(200) NOT NULL,
    channel_name character varying(100) NOT NULL,
    recipient smallint NOT NULL,
    event character varying(16) NOT NULL,
    status character varying(16) NOT NULL,
    facts jsonb NOT NULL,
    note character varying(500) NOT NULL,
    attempts integer NOT NULL,
    in_doubt boolean NOT NULL,
    next_attempt_at timestamp with time zone NOT NULL,
    leased_until timestamp with time zone,
    leased_by character varying(100) NOT NULL,
    created_at timestamp with time zone NOT NULL,
    sent_at timestamp with time zone,
    channel_id uuid,
    incident_id uuid,
    CONSTRAINT monitoring_notification_attempts_check CHECK ((attempts >= 0)),
    CONSTRAINT monitoring_notification_recipient_check CHECK ((recipient >= 0))
);


--
-- Name: monitoring_pagesnapshot; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.monitoring_pagesnapshot (
    id bigint NOT NULL,
    payload jsonb NOT NULL,
    rendered_at timestamp with time zone NOT NULL,
    page_id bigint NOT NULL
);


--
-- Name: monitoring_pagesnapshot_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.monitoring_pagesnapshot ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.monitoring_pagesnapshot_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: monitoring_postmortem; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.monitoring_postmortem (
    id bigint NOT NULL,
    markdown text NOT NULL,
    html text NOT NULL,
    published_at timestamp with time zone,
    updated_at timestamp with time zone NOT NULL,
    incident_id uuid NOT NULL
);


--
-- Name: monitoring_postmortem_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.monitoring_postmortem ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.monitoring_postmortem_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: monitoring_statuspage; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.monitoring_statuspage (
    id bigint NOT NULL,
    slug character varying(100) NOT NULL,
    title character varying(200) NOT NULL,
    description text NOT NULL,
    owner character varying(8) NOT NULL,
    "default" boolean NOT NULL
);


--
-- Name: monitoring_statuspage_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.monitoring_statuspage ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.monitoring_statuspage_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: blind_interval id; Type: DEFAULT; Schema: measurements; Owner: -
--

ALTER TABLE ONLY measurements.blind_interval ALTER COLUMN id SET DEFAULT nextval('measurements.blind_interval_id_seq'::regclass);


--
-- Name: ping id; Type: DEFAULT; Schema: measurements; Owner: -
--

ALTER TABLE ONLY measurements.ping ALTER COLUMN id SET DEFAULT nextval('measurements.ping_id_seq'::regclass);


--
-- Name: result id; Type: DEFAULT; Schema: measurements; Owner: -
--

ALTER TABLE ONLY measurements.result ALTER COLUMN id SET DEFAULT nextval('measurements.result_id_seq'::regclass);


--
-- Name: target id; Type: DEFAULT; Schema: measurements; Owner: -
--

ALTER TABLE ONLY measurements.target ALTER COLUMN id SET DEFAULT nextval('measurements.target_id_seq'::regclass);


--
-- Data for Name: blind_interval; Type: TABLE DATA; Schema: measurements; Owner: -
--



--
-- Data for Name: dirty_period; Type: TABLE DATA; Schema: measurements; Owner: -
--

INSERT INTO measurements.dirty_period VALUES (1, 'hour', 1795345200000000, 1795348367561022);


--
-- Data for Name: instance; Type: TABLE DATA; Schema: measurements; Owner: -
--

INSERT INTO measurements.instance VALUES (1, '0c074582-8e17-4347-b79b-edb7e5bceaf4', 1795348299267241);


--
-- Data for Name: monitor_state; Type: TABLE DATA; Schema: measurements; Owner: -
--

INSERT INTO measurements.monitor_state VALUES ('b3b3b0fe-bdf5-409e-a3c8-fe0272afc434', 'shop', 'Shop', 'http', 1, 1, 'down', 1795348307348658, 1, false, NULL, NULL, 1, NULL, NULL);
INSERT INTO measurements.monitor_state VALUES ('bf211f81-d59f-4d17-b1a6-a35e34e8533e', 'backup', 'Backup', 'heartbeat', 1, 1, 'up', 1795348312680294, 1, false, NULL, NULL, 1, NULL, NULL);


--
-- Data for Name: ping; Type: TABLE DATA; Schema: measurements; Owner: -
--

INSERT INTO measurements.ping VALUES (1, 'bf211f81-d59f-4d17-b1a6-a35e34e8533e', 1795348312680294, 'success', NULL, NULL, NULL, 'GET', '127.0.0.1', '', '\x', 0);


--
-- Data for Name: ping_code; Type: TABLE DATA; Schema: measurements; Owner: -
--

INSERT INTO measurements.ping_code VALUES ('dd73fdba-4957-03e7-7e2f-64bccde6ebb7', 'bf211f81-d59f-4d17-b1a6-a35e34e8533e', 1795348303485279);


--
-- Data for Name: result; Type: TABLE DATA; Schema: measurements; Owner: -
--

INSERT INTO measurements.result VALUES (1, 1, 1795348304315330, 1795348307348658, 'down', NULL, NULL, NULL, NULL, NULL, NULL, NULL, '{"phase": "connect", "reason": "refused", "message": "the connection was refused"}', NULL);
INSERT INTO measurements.result VALUES (2, 1, 1795348308315330, 1795348308384006, 'down', NULL, NULL, NULL, NULL, NULL, NULL, NULL, '{"phase": "connect", "reason": "refused", "message": "the connection was refused"}', NULL);
INSERT INTO measurements.result VALUES (3, 1, 1795348309315330, 1795348309417187, 'down', NULL, NULL, NULL, NULL, NULL, NULL, NULL, '{"phase": "connect", "reason": "refused", "message": "the connection was refused"}', NULL);
INSERT INTO measurements.result VALUES (4, 1, 1795348310315330, 1795348310421793, 'down', NULL, NULL, NULL, NULL, NULL, NULL, NULL, '{"phase": "connect", "reason": "refused", "message": "the connection was refused"}', NULL);
INSERT INTO measurements.result VALUES (5, 1, 1795348311315330, 1795348311435222, 'down', NULL, NULL, NULL, NULL, NULL, NULL, NULL, '{"phase": "connect", "reason": "refused", "message": "the connection was refused"}', NULL);
INSERT INTO measurements.result VALUES (6, 1, 1795348312315330, 1795348312443879, 'down', NULL, NULL, NULL, NULL, NULL, NULL, NULL, '{"phase": "connect", "reason": "refused", "message": "the connection was refused"}', NULL);


--
-- Data for Name: rollup; Type: TABLE DATA; Schema: measurements; Owner: -
--



--
-- Data for Name: sign_of_life; Type: TABLE DATA; Schema: measurements; Owner: -
--

INSERT INTO measurements.sign_of_life VALUES ('worker@vm:8374:8b89ff', 'worker', 'local', 1795348307259669, 1795348311639450);
INSERT INTO measurements.sign_of_life VALUES ('notifier@vm:8375:fcd48a', 'notifier', '', 1795348307946391, 1795348311994598);
INSERT INTO measurements.sign_of_life VALUES ('web@vm:8373:94a8ee', 'web', '', 1795348308563841, 1795348312644423);


--
-- Data for Name: store_revision; Type: TABLE DATA; Schema: measurements; Owner: -
--

INSERT INTO measurements.store_revision VALUES ('0001');


--
-- Data for Name: target; Type: TABLE DATA; Schema: measurements; Owner: -
--

INSERT INTO measurements.target VALUES (1, 'b3b3b0fe-bdf5-409e-a3c8-fe0272afc434', 'local', 'probed', 1, '{"url": "http://127.0.0.1:9/", "kind": "http", "name": "Shop", "slug": "shop", "timeout": "1s", "failures": 1, "interval": "1s", "password": {"sealed": "gAAAAABrAtdPPcsiTei8EYWqVAOKwfD5S3GQRr8bvHpzPPQYuAVBxlcr41Dyi_b00uVi0CZgNiH52RyBRD01A4NEj13zreYEig=="}, "username": "shop", "successes": 1, "retry_interval": "1s"}', true, 1, 1, 6, 1795348313315330, NULL, NULL, 3, 'down', 1795348307348658, 'down', 1795348312443879, 6, 1795348307348658, 6, 1795348307348658, NULL, '{"phase": "connect", "reason": "refused", "message": "the connection was refused"}', NULL, NULL, NULL, NULL);
INSERT INTO measurements.target VALUES (2, 'bf211f81-d59f-4d17-b1a6-a35e34e8533e', 'local', 'pinged', 1, '{"kind": "heartbeat", "name": "Backup", "slug": "backup", "grace": "1h", "schedule": {"every": "30d"}}', true, 2592000, 2592000, 0, NULL, NULL, NULL, 0, 'up', 1795348312680294, 'up', 1795348312680294, 1, 1795348312680294, 1, 1795348312680294, NULL, NULL, 1797943912680294, 1795348312680294, NULL, NULL);


--
-- Data for Name: transition; Type: TABLE DATA; Schema: measurements; Owner: -
--

INSERT INTO measurements.transition VALUES ('317ba29e-e9e5-46e6-8cb3-95239635f727', 'b3b3b0fe-bdf5-409e-a3c8-fe0272afc434', 1, 1795348307561022, 1795348307348658, 'pending', 'down', 'probe', '{"phases": {}, "failure": {"phase": "connect", "reason": "refused", "message": "the connection was refused"}, "outcome": "down", "evidence": {}, "location": "local", "latency_ns": null, "started_at": "2026-11-22T11:51:47.348658+00:00"}', 1795348308121685);
INSERT INTO measurements.transition VALUES ('5884d80e-105c-4f51-9dab-5f416478d17f', 'bf211f81-d59f-4d17-b1a6-a35e34e8533e', 1, 1795348312680459, 1795348312680294, 'pending', 'up', 'ping', '{"failure": null, "outcome": "up", "evidence": {"ping": "success", "exit_code": null}, "location": "local"}', 1795348312727533);


--
-- Data for Name: trouble; Type: TABLE DATA; Schema: measurements; Owner: -
--



--
-- Data for Name: auth_group; Type: TABLE DATA; Schema: public; Owner: -
--



--
-- Data for Name: auth_group_permissions; Type: TABLE DATA; Schema: public; Owner: -
--



--
-- Data for Name: auth_permission; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.auth_permission VALUES (1, 'Can add log entry', 1, 'add_logentry');
INSERT INTO public.auth_permission VALUES (2, 'Can change log entry', 1, 'change_logentry');
INSERT INTO public.auth_permission VALUES (3, 'Can delete log entry', 1, 'delete_logentry');
INSERT INTO public.auth_permission VALUES (4, 'Can view log entry', 1, 'view_logentry');
INSERT INTO public.auth_permission VALUES (5, 'Can add permission', 2, 'add_permission');
INSERT INTO public.auth_permission VALUES (6, 'Can change permission', 2, 'change_permission');
INSERT INTO public.auth_permission VALUES (7, 'Can delete permission', 2, 'delete_permission');
INSERT INTO public.auth_permission VALUES (8, 'Can view permission', 2, 'view_permission');
INSERT INTO public.auth_permission VALUES (9, 'Can add group', 3, 'add_group');
INSERT INTO public.auth_permission VALUES (10, 'Can change group', 3, 'change_group');
INSERT INTO public.auth_permission VALUES (11, 'Can delete group', 3, 'delete_group');
INSERT INTO public.auth_permission VALUES (12, 'Can view group', 3, 'view_group');
INSERT INTO public.auth_permission VALUES (13, 'Can add user', 4, 'add_user');
INSERT INTO public.auth_permission VALUES (14, 'Can change user', 4, 'change_user');
INSERT INTO public.auth_permission VALUES (15, 'Can delete user', 4, 'delete_user');
INSERT INTO public.auth_permission VALUES (16, 'Can view user', 4, 'view_user');
INSERT INTO public.auth_permission VALUES (17, 'Can add content type', 5, 'add_contenttype');
INSERT INTO public.auth_permission VALUES (18, 'Can change content type', 5, 'change_contenttype');
INSERT INTO public.auth_permission VALUES (19, 'Can delete content type', 5, 'delete_contenttype');
INSERT INTO public.auth_permission VALUES (20, 'Can view content type', 5, 'view_contenttype');
INSERT INTO public.auth_permission VALUES (21, 'Can add session', 6, 'add_session');
INSERT INTO public.auth_permission VALUES (22, 'Can change session', 6, 'change_session');
INSERT INTO public.auth_permission VALUES (23, 'Can delete session', 6, 'delete_session');
INSERT INTO public.auth_permission VALUES (24, 'Can view session', 6, 'view_session');
INSERT INTO public.auth_permission VALUES (25, 'Can add alert rule', 7, 'add_alertrule');
INSERT INTO public.auth_permission VALUES (26, 'Can change alert rule', 7, 'change_alertrule');
INSERT INTO public.auth_permission VALUES (27, 'Can delete alert rule', 7, 'delete_alertrule');
INSERT INTO public.auth_permission VALUES (28, 'Can view alert rule', 7, 'view_alertrule');
INSERT INTO public.auth_permission VALUES (29, 'Can add channel', 8, 'add_channel');
INSERT INTO public.auth_permission VALUES (30, 'Can change channel', 8, 'change_channel');
INSERT INTO public.auth_permission VALUES (31, 'Can delete channel', 8, 'delete_channel');
INSERT INTO public.auth_permission VALUES (32, 'Can view channel', 8, 'view_channel');
INSERT INTO public.auth_permission VALUES (33, 'Can add component group', 9, 'add_componentgroup');
INSERT INTO public.auth_permission VALUES (34, 'Can change component group', 9, 'change_componentgroup');
INSERT INTO public.auth_permission VALUES (35, 'Can delete component group', 9, 'delete_componentgroup');
INSERT INTO public.auth_permission VALUES (36, 'Can view component group', 9, 'view_componentgroup');
INSERT INTO public.auth_permission VALUES (37, 'Can add incident', 10, 'add_incident');
INSERT INTO public.auth_permission VALUES (38, 'Can change incident', 10, 'change_incident');
INSERT INTO public.auth_permission VALUES (39, 'Can delete incident', 10, 'delete_incident');
INSERT INTO public.auth_permission VALUES (40, 'Can view incident', 10, 'view_incident');
INSERT INTO public.auth_permission VALUES (41, 'Can add known store', 11, 'add_knownstore');
INSERT INTO public.auth_permission VALUES (42, 'Can change known store', 11, 'change_knownstore');
INSERT INTO public.auth_permission VALUES (43, 'Can delete known store', 11, 'delete_knownstore');
INSERT INTO public.auth_permission VALUES (44, 'Can view known store', 11, 'view_knownstore');
INSERT INTO public.auth_permission VALUES (45, 'Can add monitor', 12, 'add_monitor');
INSERT INTO public.auth_permission VALUES (46, 'Can change monitor', 12, 'change_monitor');
INSERT INTO public.auth_permission VALUES (47, 'Can delete monitor', 12, 'delete_monitor');
INSERT INTO public.auth_permission VALUES (48, 'Can view monitor', 12, 'view_monitor');
INSERT INTO public.auth_permission VALUES (49, 'Can add alert rule channel', 13, 'add_alertrulechannel');
INSERT INTO public.auth_permission VALUES (50, 'Can change alert rule channel', 13, 'change_alertrulechannel');
INSERT INTO public.auth_permission VALUES (51, 'Can delete alert rule channel', 13, 'delete_alertrulechannel');
INSERT INTO public.auth_permission VALUES (52, 'Can view alert rule channel', 13, 'view_alertrulechannel');
INSERT INTO public.auth_permission VALUES (53, 'Can add consumed transition', 14, 'add_consumedtransition');
INSERT INTO public.auth_permission VALUES (54, 'Can change consumed transition', 14, 'change_consumedtransition');
INSERT INTO public.auth_permission VALUES (55, 'Can delete consumed transition', 14, 'delete_consumedtransition');
INSERT INTO public.auth_permission VALUES (56, 'Can view consumed transition', 14, 'view_consumedtransition');
INSERT INTO public.auth_permission VALUES (57, 'Can add incident update', 15, 'add_incidentupdate');
INSERT INTO public.auth_permission VALUES (58, 'Can change incident update', 15, 'change_incidentupdate');
INSERT INTO public.auth_permission VALUES (59, 'Can delete incident update', 15, 'delete_incidentupdate');
INSERT INTO public.auth_permission VALUES (60, 'Can view incident update', 15, 'view_incidentupdate');
INSERT INTO public.auth_permission VALUES (61, 'Can add component', 16, 'add_component');
INSERT INTO public.auth_permission VALUES (62, 'Can change component', 16, 'change_component');
INSERT INTO public.auth_permission VALUES (63, 'Can delete component', 16, 'delete_component');
INSERT INTO public.auth_permission VALUES (64, 'Can view component', 16, 'view_component');
INSERT INTO public.auth_permission VALUES (65, 'Can add notification', 17, 'add_notification');
INSERT INTO public.auth_permission VALUES (66, 'Can change notification', 17, 'change_notification');
INSERT INTO public.auth_permission VALUES (67, 'Can delete notification', 17, 'delete_notification');
INSERT INTO public.auth_permission VALUES (68, 'Can view notification', 17, 'view_notification');
INSERT INTO public.auth_permission VALUES (69, 'Can add post mortem', 18, 'add_postmortem');
INSERT INTO public.auth_permission VALUES (70, 'Can change post mortem', 18, 'change_postmortem');
INSERT INTO public.auth_permission VALUES (71, 'Can delete post mortem', 18, 'delete_postmortem');
INSERT INTO public.auth_permission VALUES (72, 'Can view post mortem', 18, 'view_postmortem');
INSERT INTO public.auth_permission VALUES (73, 'Can add status page', 19, 'add_statuspage');
INSERT INTO public.auth_permission VALUES (74, 'Can change status page', 19, 'change_statuspage');
INSERT INTO public.auth_permission VALUES (75, 'Can delete status page', 19, 'delete_statuspage');
INSERT INTO public.auth_permission VALUES (76, 'Can view status page', 19, 'view_statuspage');
INSERT INTO public.auth_permission VALUES (77, 'Can add page snapshot', 20, 'add_pagesnapshot');
INSERT INTO public.auth_permission VALUES (78, 'Can change page snapshot', 20, 'change_pagesnapshot');
INSERT INTO public.auth_permission VALUES (79, 'Can delete page snapshot', 20, 'delete_pagesnapshot');
INSERT INTO public.auth_permission VALUES (80, 'Can view page snapshot', 20, 'view_pagesnapshot');
INSERT INTO public.auth_permission VALUES (81, 'Can add configuration file', 21, 'add_configurationfile');
INSERT INTO public.auth_permission VALUES (82, 'Can change configuration file', 21, 'change_configurationfile');
INSERT INTO public.auth_permission VALUES (83, 'Can delete configuration file', 21, 'delete_configurationfile');
INSERT INTO public.auth_permission VALUES (84, 'Can view configuration file', 21, 'view_configurationfile');


--
-- Data for Name: auth_user; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.auth_user VALUES (1, 'pbkdf2_sha256$1000000$kp6o94y9CWybZcste91Lgx$zpoIbXApatPaR2S0ESVTIgGDX1Bv6RnWTKx1MEwy6HI=', NULL, true, 'admin', '', '', '', true, true, '2026-11-22 17:36:39.799793+05:45');


--
-- Data for Name: auth_user_groups; Type: TABLE DATA; Schema: public; Owner: -
--



--
-- Data for Name: auth_user_user_permissions; Type: TABLE DATA; Schema: public; Owner: -
--



--
-- Data for Name: django_admin_log; Type: TABLE DATA; Schema: public; Owner: -
--



--
-- Data for Name: django_content_type; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.django_content_type VALUES (1, 'admin', 'logentry');
INSERT INTO public.django_content_type VALUES (2, 'auth', 'permission');
INSERT INTO public.django_content_type VALUES (3, 'auth', 'group');
INSERT INTO public.django_content_type VALUES (4, 'auth', 'user');
INSERT INTO public.django_content_type VALUES (5, 'contenttypes', 'contenttype');
INSERT INTO public.django_content_type VALUES (6, 'sessions', 'session');
INSERT INTO public.django_content_type VALUES (7, 'monitoring', 'alertrule');
INSERT INTO public.django_content_type VALUES (8, 'monitoring', 'channel');
INSERT INTO public.django_content_type VALUES (9, 'monitoring', 'componentgroup');
INSERT INTO public.django_content_type VALUES (10, 'monitoring', 'incident');
INSERT INTO public.django_content_type VALUES (11, 'monitoring', 'knownstore');
INSERT INTO public.django_content_type VALUES (12, 'monitoring', 'monitor');
INSERT INTO public.django_content_type VALUES (13, 'monitoring', 'alertrulechannel');
INSERT INTO public.django_content_type VALUES (14, 'monitoring', 'consumedtransition');
INSERT INTO public.django_content_type VALUES (15, 'monitoring', 'incidentupdate');
INSERT INTO public.django_content_type VALUES (16, 'monitoring', 'component');
INSERT INTO public.django_content_type VALUES (17, 'monitoring', 'notification');
INSERT INTO public.django_content_type VALUES (18, 'monitoring', 'postmortem');
INSERT INTO public.django_content_type VALUES (19, 'monitoring', 'statuspage');
INSERT INTO public.django_content_type VALUES (20, 'monitoring', 'pagesnapshot');
INSERT INTO public.django_content_type VALUES (21, 'monitoring', 'configurationfile');


--
-- Data for Name: django_migrations; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.django_migrations VALUES (1, 'contenttypes', '0001_initial', '2026-11-22 17:36:39.300938+05:45');
INSERT INTO public.django_migrations VALUES (2, 'auth', '0001_initial', '2026-11-22 17:36:39.341414+05:45');
INSERT INTO public.django_migrations VALUES (3, 'admin', '0001_initial', '2026-11-22 17:36:39.353598+05:45');
INSERT INTO public.django_migrations VALUES (4, 'admin', '0002_logentry_remove_auto_add', '2026-11-22 17:36:39.359236+05:45');
INSERT INTO public.django_migrations VALUES (5, 'admin', '0003_logentry_add_action_flag_choices', '2026-11-22 17:36:39.364688+05:45');
INSERT INTO public.django_migrations VALUES (6, 'contenttypes', '0002_remove_content_type_name', '2026-11-22 17:36:39.375731+05:45');
INSERT INTO public.django_migrations VALUES (7, 'auth', '0002_alter_permission_name_max_length', '2026-11-22 17:36:39.382612+05:45');
INSERT INTO public.django_migrations VALUES (8, 'auth', '0003_alter_user_email_max_length', '2026-11-22 17:36:39.388156+05:45');
INSERT INTO public.django_migrations VALUES (9, 'auth', '0004_alter_user_username_opts', '2026-11-22 17:36:39.392865+05:45');
INSERT INTO public.django_migrations VALUES (10, 'auth', '0005_alter_user_last_login_null', '2026-11-22 17:36:39.398232+05:45');
INSERT INTO public.django_migrations VALUES (11, 'auth', '0006_require_contenttypes_0002', '2026-11-22 17:36:39.398828+05:45');
INSERT INTO public.django_migrations VALUES (12, 'auth', '0007_alter_validators_add_error_messages', '2026-11-22 17:36:39.40376+05:45');
INSERT INTO public.django_migrations VALUES (13, 'auth', '0008_alter_user_username_max_length', '2026-11-22 17:36:39.410791+05:45');
INSERT INTO public.django_migrations VALUES (14, 'auth', '0009_alter_user_last_name_max_length', '2026-11-22 17:36:39.416349+05:45');
INSERT INTO public.django_migrations VALUES (15, 'auth', '0010_alter_group_name_max_length', '2026-11-22 17:36:39.42254+05:45');
INSERT INTO public.django_migrations VALUES (16, 'auth', '0011_update_proxy_permissions', '2026-11-22 17:36:39.427323+05:45');
INSERT INTO public.django_migrations VALUES (17, 'auth', '0012_alter_user_first_name_max_length', '2026-11-22 17:36:39.43414+05:45');
INSERT INTO public.django_migrations VALUES (18, 'monitoring', '0001_initial', '2026-11-22 17:36:39.704014+05:45');
INSERT INTO public.django_migrations VALUES (19, 'monitoring', '0002_configuration_file', '2026-11-22 17:36:39.714362+05:45');
INSERT INTO public.django_migrations VALUES (20, 'sessions', '0001_initial', '2026-11-22 17:36:39.730623+05:45');


--
-- Data for Name: django_session; Type: TABLE DATA; Schema: public; Owner: -
--



--
-- Data for Name: monitoring_alertrule; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.monitoring_alertrule VALUES ('68390479-e5ae-4347-be72-5a95b3b771bf', 'Anything', 'file', 'down', '{}', NULL);


--
-- Data for Name: monitoring_alertrulechannel; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.monitoring_alertrulechannel VALUES (1, 0, '68390479-e5ae-4347-be72-5a95b3b771bf', '1e095d1e-4980-47d5-bf08-f4b446636627');


--
-- Data for Name: monitoring_channel; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.monitoring_channel VALUES ('1e095d1e-4980-47d5-bf08-f4b446636627', 'hook', 'gAAAAABrAtdPyI8C-CjebN9nZP1CS8TM8cSUi6NnSiOlX9WUykeoCBJjmXBjQcmurfPSXkZY03qxFEx5HaZJx-3HTL5MGfVZFk4-8818Qd0SfqQRMoa5Ooo=', 'file', 1, false, NULL, 'the destination refused the connection');


--
-- Data for Name: monitoring_component; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.monitoring_component VALUES (1, 'The shop', '', 0, 1, 'b3b3b0fe-bdf5-409e-a3c8-fe0272afc434');


--
-- Data for Name: monitoring_componentgroup; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.monitoring_componentgroup VALUES (1, 'G', 0, 1);


--
-- Data for Name: monitoring_configurationfile; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.monitoring_configurationfile VALUES (1, '/tmp/tmpgq0dg6mv/config.yaml', '2026-11-22 17:36:43.464331+05:45', '{"channels": {"hook": "655e8ab1d34bdb5526f7997fddeb8321623de0b53dda9df34b0be277eceac4c5"}, "monitors": {"shop": "b45a2be1670a47cc6eaae70dcf933bf1f7191793e78cd08399124e99364941a3", "backup": "f68ef71b288696681bd34d63e9a60be5246aa3dbe4f47fbe86062041255de4dc"}, "alert_rules": {"Anything": "c8ec224aea909ebcbc560c24fd0912dc2859151bd861893bea0c9aafa1005e78"}, "status_pages": {"public": "4d29a5b5817d2a9652b0e83d40969fe5261ee76469b4d3deff2246da4a2c383d"}}', NULL, '');


--
-- Data for Name: monitoring_consumedtransition; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.monitoring_consumedtransition VALUES ('317ba29e-e9e5-46e6-8cb3-95239635f727', '0c074582-8e17-4347-b79b-edb7e5bceaf4', 'b3b3b0fe-bdf5-409e-a3c8-fe0272afc434', 1);
INSERT INTO public.monitoring_consumedtransition VALUES ('5884d80e-105c-4f51-9dab-5f416478d17f', '0c074582-8e17-4347-b79b-edb7e5bceaf4', 'bf211f81-d59f-4d17-b1a6-a35e34e8533e', 1);


--
-- Data for Name: monitoring_incident; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.monitoring_incident VALUES ('843bb0bc-26e8-4bce-8086-cbda018da15c', 'b3b3b0fe-bdf5-409e-a3c8-fe0272afc434', 'Shop', 'down', 'The connection was refused', '2026-11-22 17:36:47.348658+05:45', '2026-11-22 17:36:47.561022+05:45', NULL, '', '{"phases": {}, "failure": {"phase": "connect", "reason": "refused", "message": "the connection was refused"}, "outcome": "down", "evidence": {}, "location": "local", "latency_ns": null, "started_at": "2026-11-22T11:51:47.348658+00:00"}', 'b3b3b0fe-bdf5-409e-a3c8-fe0272afc434');


--
-- Data for Name: monitoring_incidentupdate; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.monitoring_incidentupdate VALUES (1, '2026-11-22 17:36:47.348658+05:45', 'opened', 'The connection was refused', false, '843bb0bc-26e8-4bce-8086-cbda018da15c');


--
-- Data for Name: monitoring_knownstore; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.monitoring_knownstore VALUES ('0c074582-8e17-4347-b79b-edb7e5bceaf4', '2026-11-22 17:36:48.042476+05:45');


--
-- Data for Name: monitoring_monitor; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.monitoring_monitor VALUES ('b3b3b0fe-bdf5-409e-a3c8-fe0272afc434', 'shop', 'Shop', 'http', '{"url": "http://127.0.0.1:9/", "kind": "http", "name": "Shop", "slug": "shop", "timeout": "1s", "failures": 1, "interval": "1s", "password": {"sealed": "gAAAAABrAtdPPcsiTei8EYWqVAOKwfD5S3GQRr8bvHpzPPQYuAVBxlcr41Dyi_b00uVi0CZgNiH52RyBRD01A4NEj13zreYEig=="}, "username": "shop", "successes": 1, "retry_interval": "1s"}', 'file', 1, false, 'ceffd43c-665f-7b9f-5a19-b8d93ea7c81e', NULL, '2026-11-22 17:36:43.443563+05:45', '2026-11-22 17:36:43.443563+05:45');
INSERT INTO public.monitoring_monitor VALUES ('bf211f81-d59f-4d17-b1a6-a35e34e8533e', 'backup', 'Backup', 'heartbeat', '{"kind": "heartbeat", "name": "Backup", "slug": "backup", "grace": "1h", "schedule": {"every": "30d"}}', 'file', 1, false, 'dd73fdba-4957-03e7-7e2f-64bccde6ebb7', NULL, '2026-11-22 17:36:43.445585+05:45', '2026-11-22 17:36:43.445585+05:45');


--
-- Data for Name: monitoring_notification; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.monitoring_notification VALUES ('47b4e55f-784f-41ed-95f3-551743f2095f', 'down:843bb0bc-26e8-4bce-8086-cbda018da15c:1e095d1e-4980-47d5-bf08-f4b446636627:0', 'hook', 0, 'down', 'pending', '{"kind": "http", "name": "Shop", "slug": "shop", "phases": {}, "runbook": "", "summary": "The connection was refused", "incident": "843bb0bc-26e8-4bce-8086-cbda018da15c", "location": "local", "opened_at": "2026-11-22T11:51:47.348658+00:00", "resolution": "", "description": "", "resolved_at": "", "last_ping_at": ""}', 'the destination refused the connection', 1, false, '2026-11-22 17:37:00.032867+05:45', NULL, '', '2026-11-22 17:36:48.06516+05:45', NULL, '1e095d1e-4980-47d5-bf08-f4b446636627', '843bb0bc-26e8-4bce-8086-cbda018da15c');


--
-- Data for Name: monitoring_pagesnapshot; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.monitoring_pagesnapshot VALUES (1, '{"open": [{"uuid": "843bb0bc-26e8-4bce-8086-cbda018da15c", "updates": [], "opened_at": "2026-11-22T11:51:47.348658Z", "components": ["The shop"], "resolution": "", "resolved_at": null, "post_mortem_at": null}], "slug": "public", "as_of": "2026-11-22T11:51:48.077325Z", "title": "Kept", "groups": [{"name": "G", "components": [{"days": [{"day": "2026-08-25", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-08-26", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-08-27", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-08-28", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-08-29", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-08-30", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-08-31", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-09-01", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-09-02", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-09-03", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-09-04", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-09-05", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-09-06", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-09-07", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-09-08", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-09-09", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-09-10", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-09-11", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-09-12", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-09-13", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-09-14", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-09-15", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-09-16", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-09-17", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-09-18", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-09-19", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-09-20", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-09-21", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-09-22", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-09-23", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-09-24", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-09-25", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-09-26", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-09-27", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-09-28", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-09-29", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-09-30", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-10-01", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-10-02", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-10-03", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-10-04", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-10-05", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-10-06", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-10-07", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-10-08", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-10-09", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-10-10", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-10-11", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-10-12", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-10-13", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-10-14", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-10-15", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-10-16", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-10-17", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-10-18", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-10-19", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-10-20", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-10-21", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-10-22", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-10-23", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-10-24", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-10-25", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-10-26", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-10-27", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-10-28", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-10-29", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-10-30", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-10-31", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-11-01", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-11-02", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-11-03", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-11-04", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-11-05", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-11-06", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-11-07", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-11-08", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-11-09", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-11-10", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-11-11", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-11-12", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-11-13", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-11-14", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-11-15", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-11-16", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-11-17", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-11-18", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-11-19", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-11-20", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-11-21", "ratio": null, "observed": 0.0, "down_seconds": 0.0}, {"day": "2026-11-22", "ratio": 0.0, "observed": 0.000017061573492409613, "down_seconds": 0.728667}], "name": "The shop", "ratio": 0.0, "since": "2026-11-22T11:51:47.348658Z", "status": "down", "observed": 0.00000009423667457545006, "description": ""}]}], "recent": [], "overall": "major", "description": "", "post_mortems": []}', '2026-11-22 17:36:48.077325+05:45', 1);


--
-- Data for Name: monitoring_postmortem; Type: TABLE DATA; Schema: public; Owner: -
--



--
-- Data for Name: monitoring_statuspage; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.monitoring_statuspage VALUES (1, 'public', 'Kept', '', 'file', true);


--
-- Name: blind_interval_id_seq; Type: SEQUENCE SET; Schema: measurements; Owner: -
--

SELECT pg_catalog.setval('measurements.blind_interval_id_seq', 1, false);


--
-- Name: ping_id_seq; Type: SEQUENCE SET; Schema: measurements; Owner: -
--

SELECT pg_catalog.setval('measurements.ping_id_seq', 1, true);


--
-- Name: result_id_seq; Type: SEQUENCE SET; Schema: measurements; Owner: -
--

SELECT pg_catalog.setval('measurements.result_id_seq', 6, true);


--
-- Name: target_id_seq; Type: SEQUENCE SET; Schema: measurements; Owner: -
--

SELECT pg_catalog.setval('measurements.target_id_seq', 2, true);


--
-- Name: auth_group_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.auth_group_id_seq', 1, false);


--
-- Name: auth_group_permissions_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.auth_group_permissions_id_seq', 1, false);


--
-- Name: auth_permission_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.auth_permission_id_seq', 84, true);


--
-- Name: auth_user_groups_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.auth_user_groups_id_seq', 1, false);


--
-- Name: auth_user_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.auth_user_id_seq', 1, true);


--
-- Name: auth_user_user_permissions_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.auth_user_user_permissions_id_seq', 1, false);


--
-- Name: django_admin_log_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.django_admin_log_id_seq', 1, false);


--
-- Name: django_content_type_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.django_content_type_id_seq', 21, true);


--
-- Name: django_migrations_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.django_migrations_id_seq', 20, true);


--
-- Name: monitoring_alertrulechannel_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.monitoring_alertrulechannel_id_seq', 1, true);


--
-- Name: monitoring_component_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.monitoring_component_id_seq', 1, true);


--
-- Name: monitoring_componentgroup_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.monitoring_componentgroup_id_seq', 1, true);


--
-- Name: monitoring_configurationfile_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.monitoring_configurationfile_id_seq', 1, false);


--
-- Name: monitoring_incidentupdate_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.monitoring_incidentupdate_id_seq', 1, true);


--
-- Name: monitoring_pagesnapshot_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.monitoring_pagesnapshot_id_seq', 1, true);


--
-- Name: monitoring_postmortem_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.monitoring_postmortem_id_seq', 1, false);


--
-- Name: monitoring_statuspage_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.monitoring_statuspage_id_seq', 1, true);


--
-- Name: blind_interval pk_blind_interval; Type: CONSTRAINT; Schema: measurements; Owner: -
--

ALTER TABLE ONLY measurements.blind_interval
    ADD CONSTRAINT pk_blind_interval PRIMARY KEY (id);


--
-- Name: dirty_period pk_dirty_period; Type: CONSTRAINT; Schema: measurements; Owner: -
--

ALTER TABLE ONLY measurements.dirty_period
    ADD CONSTRAINT pk_dirty_period PRIMARY KEY (target_id, resolution, start);


--
-- Name: instance pk_instance; Type: CONSTRAINT; Schema: measurements; Owner: -
--

ALTER TABLE ONLY measurements.instance
    ADD CONSTRAINT pk_instance PRIMARY KEY (id);


--
-- Name: monitor_state pk_monitor_state; Type: CONSTRAINT; Schema: measurements; Owner: -
--

ALTER TABLE ONLY measurements.monitor_state
    ADD CONSTRAINT pk_monitor_state PRIMARY KEY (monitor);


--
-- Name: ping pk_ping; Type: CONSTRAINT; Schema: measurements; Owner: -
--

ALTER TABLE ONLY measurements.ping
    ADD CONSTRAINT pk_ping PRIMARY KEY (id);


--
-- Name: ping_code pk_ping_code; Type: CONSTRAINT; Schema: measurements; Owner: -
--

ALTER TABLE ONLY measurements.ping_code
    ADD CONSTRAINT pk_ping_code PRIMARY KEY (code);


--
-- Name: result pk_result; Type: CONSTRAINT; Schema: measurements; Owner: -
--

ALTER TABLE ONLY measurements.result
    ADD CONSTRAINT pk_result PRIMARY KEY (id);


--
-- Name: rollup pk_rollup; Type: CONSTRAINT; Schema: measurements; Owner: -
--

ALTER TABLE ONLY measurements.rollup
    ADD CONSTRAINT pk_rollup PRIMARY KEY (target_id, resolution, start, phase);


--
-- Name: sign_of_life pk_sign_of_life; Type: CONSTRAINT; Schema: measurements; Owner: -
--

ALTER TABLE ONLY measurements.sign_of_life
    ADD CONSTRAINT pk_sign_of_life PRIMARY KEY (process);


--
-- Name: target pk_target; Type: CONSTRAINT; Schema: measurements; Owner: -
--

ALTER TABLE ONLY measurements.target
    ADD CONSTRAINT pk_target PRIMARY KEY (id);


--
-- Name: transition pk_transition; Type: CONSTRAINT; Schema: measurements; Owner: -
--

ALTER TABLE ONLY measurements.transition
    ADD CONSTRAINT pk_transition PRIMARY KEY (uuid);


--
-- Name: trouble pk_trouble; Type: CONSTRAINT; Schema: measurements; Owner: -
--

ALTER TABLE ONLY measurements.trouble
    ADD CONSTRAINT pk_trouble PRIMARY KEY (what);


--
-- Name: store_revision store_revision_pkc; Type: CONSTRAINT; Schema: measurements; Owner: -
--

ALTER TABLE ONLY measurements.store_revision
    ADD CONSTRAINT store_revision_pkc PRIMARY KEY (version_num);


--
-- Name: blind_interval uq_blind_interval_role_location_start; Type: CONSTRAINT; Schema: measurements; Owner: -
--

ALTER TABLE ONLY measurements.blind_interval
    ADD CONSTRAINT uq_blind_interval_role_location_start UNIQUE (role, location, start);


--
-- Name: target uq_target_monitor_location; Type: CONSTRAINT; Schema: measurements; Owner: -
--

ALTER TABLE ONLY measurements.target
    ADD CONSTRAINT uq_target_monitor_location UNIQUE (monitor, location);


--
-- Name: transition uq_transition_monitor_seq; Type: CONSTRAINT; Schema: measurements; Owner: -
--

ALTER TABLE ONLY measurements.transition
    ADD CONSTRAINT uq_transition_monitor_seq UNIQUE (monitor, seq);


--
-- Name: auth_group auth_group_name_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.auth_group
    ADD CONSTRAINT auth_group_name_key UNIQUE (name);


--
-- Name: auth_group_permissions auth_group_permissions_group_id_permission_id_0cd325b0_uniq; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.auth_group_permissions
    ADD CONSTRAINT auth_group_permissions_group_id_permission_id_0cd325b0_uniq UNIQUE (group_id, permission_id);


--
-- Name: auth_group_permissions auth_group_permissions_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.auth_group_permissions
    ADD CONSTRAINT auth_group_permissions_pkey PRIMARY KEY (id);


--
-- Name: auth_group auth_group_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.auth_group
    ADD CONSTRAINT auth_group_pkey PRIMARY KEY (id);


--
-- Name: auth_permission auth_permission_content_type_id_codename_01ab375a_uniq; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.auth_permission
    ADD CONSTRAINT auth_permission_content_type_id_codename_01ab375a_uniq UNIQUE (content_type_id, codename);


--
-- Name: auth_permission auth_permission_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.auth_permission
    ADD CONSTRAINT auth_permission_pkey PRIMARY KEY (id);


--
-- Name: auth_user_groups auth_user_groups_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.auth_user_groups
    ADD CONSTRAINT auth_user_groups_pkey PRIMARY KEY (id);


--
-- Name: auth_user_groups auth_user_groups_user_id_group_id_94350c0c_uniq; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.auth_user_groups
    ADD CONSTRAINT auth_user_groups_user_id_group_id_94350c0c_uniq UNIQUE (user_id, group_id);


--
-- Name: auth_user auth_user_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.auth_user
    ADD CONSTRAINT auth_user_pkey PRIMARY KEY (id);


--
-- Name: auth_user_user_permissions auth_user_user_permissions_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.auth_user_user_permissions
    ADD CONSTRAINT auth_user_user_permissions_pkey PRIMARY KEY (id);


--
-- Name: auth_user_user_permissions auth_user_user_permissions_user_id_permission_id_14a6b632_uniq; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.auth_user_user_permissions
    ADD CONSTRAINT auth_user_user_permissions_user_id_permission_id_14a6b632_uniq UNIQUE (user_id, permission_id);


--
-- Name: auth_user auth_user_username_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.auth_user
    ADD CONSTRAINT auth_user_username_key UNIQUE (username);


--
-- Name: django_admin_log django_admin_log_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.django_admin_log
    ADD CONSTRAINT django_admin_log_pkey PRIMARY KEY (id);


--
-- Name: django_content_type django_content_type_app_label_model_76bd3d3b_uniq; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.django_content_type
    ADD CONSTRAINT django_content_type_app_label_model_76bd3d3b_uniq UNIQUE (app_label, model);


--
-- Name: django_content_type django_content_type_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.django_content_type
    ADD CONSTRAINT django_content_type_pkey PRIMARY KEY (id);


--
-- Name: django_migrations django_migrations_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.django_migrations
    ADD CONSTRAINT django_migrations_pkey PRIMARY KEY (id);


--
-- Name: django_session django_session_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.django_session
    ADD CONSTRAINT django_session_pkey PRIMARY KEY (session_key);


--
-- Name: monitoring_alertrule monitoring_alertrule_name_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.monitoring_alertrule
    ADD CONSTRAINT monitoring_alertrule_name_key UNIQUE (name);


--
-- Name: monitoring_alertrule monitoring_alertrule_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.monitoring_alertrule
    ADD CONSTRAINT monitoring_alertrule_pkey PRIMARY KEY (uuid);


--
-- Name: monitoring_alertrulechannel monitoring_alertrulechannel_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.monitoring_alertrulechannel
    ADD CONSTRAINT monitoring_alertrulechannel_pkey PRIMARY KEY (id);


--
-- Name: monitoring_channel monitoring_channel_name_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.monitoring_channel
    ADD CONSTRAINT monitoring_channel_name_key UNIQUE (name);


--
-- Name: monitoring_channel monitoring_channel_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.monitoring_channel
    ADD CONSTRAINT monitoring_channel_pkey PRIMARY KEY (uuid);


--
-- Name: monitoring_component monitoring_component_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.monitoring_component
    ADD CONSTRAINT monitoring_component_pkey PRIMARY KEY (id);


--
-- Name: monitoring_componentgroup monitoring_componentgroup_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.monitoring_componentgroup
    ADD CONSTRAINT monitoring_componentgroup_pkey PRIMARY KEY (id);


--
-- Name: monitoring_configurationfile monitoring_configurationfile_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.monitoring_configurationfile
    ADD CONSTRAINT monitoring_configurationfile_pkey PRIMARY KEY (id);


--
-- Name: monitoring_consumedtransition monitoring_consumedtransition_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.monitoring_consumedtransition
    ADD CONSTRAINT monitoring_consumedtransition_pkey PRIMARY KEY (transition);


--
-- Name: monitoring_incident monitoring_incident_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.monitoring_incident
    ADD CONSTRAINT monitoring_incident_pkey PRIMARY KEY (uuid);


--
-- Name: monitoring_incidentupdate monitoring_incidentupdate_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.monitoring_incidentupdate
    ADD CONSTRAINT monitoring_incidentupdate_pkey PRIMARY KEY (id);


--
-- Name: monitoring_knownstore monitoring_knownstore_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.monitoring_knownstore
    ADD CONSTRAINT monitoring_knownstore_pkey PRIMARY KEY (uuid);


--
-- Name: monitoring_monitor monitoring_monitor_ping_code_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.monitoring_monitor
    ADD CONSTRAINT monitoring_monitor_ping_code_key UNIQUE (ping_code);


--
-- Name: monitoring_monitor monitoring_monitor_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.monitoring_monitor
    ADD CONSTRAINT monitoring_monitor_pkey PRIMARY KEY (uuid);


--
-- Name: monitoring_monitor monitoring_monitor_slug_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.monitoring_monitor
    ADD CONSTRAINT monitoring_monitor_slug_key UNIQUE (slug);


--
-- Name: monitoring_notification monitoring_notification_key_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.monitoring_notification
    ADD CONSTRAINT monitoring_notification_key_key UNIQUE (key);


--
-- Name: monitoring_notification monitoring_notification_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.monitoring_notification
    ADD CONSTRAINT monitoring_notification_pkey PRIMARY KEY (uuid);


--
-- Name: monitoring_pagesnapshot monitoring_pagesnapshot_page_id_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.monitoring_pagesnapshot
    ADD CONSTRAINT monitoring_pagesnapshot_page_id_key UNIQUE (page_id);


--
-- Name: monitoring_pagesnapshot monitoring_pagesnapshot_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.monitoring_pagesnapshot
    ADD CONSTRAINT monitoring_pagesnapshot_pkey PRIMARY KEY (id);


--
-- Name: monitoring_postmortem monitoring_postmortem_incident_id_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.monitoring_postmortem
    ADD CONSTRAINT monitoring_postmortem_incident_id_key UNIQUE (incident_id);


--
-- Name: monitoring_postmortem monitoring_postmortem_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.monitoring_postmortem
    ADD CONSTRAINT monitoring_postmortem_pkey PRIMARY KEY (id);


--
-- Name: monitoring_statuspage monitoring_statuspage_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.monitoring_statuspage
    ADD CONSTRAINT monitoring_statuspage_pkey PRIMARY KEY (id);


--
-- Name: monitoring_statuspage monitoring_statuspage_slug_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.monitoring_statuspage
    ADD CONSTRAINT monitoring_statuspage_slug_key UNIQUE (slug);


--
-- Name: monitoring_alertrulechannel one_channel_a_rule; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.monitoring_alertrulechannel
    ADD CONSTRAINT one_channel_a_rule UNIQUE (rule_id, channel_id);


--
-- Name: monitoring_component one_component_a_group; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.monitoring_component
    ADD CONSTRAINT one_component_a_group UNIQUE (group_id, monitor_id);


--
-- Name: monitoring_consumedtransition one_effect_a_seq; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.monitoring_consumedtransition
    ADD CONSTRAINT one_effect_a_seq UNIQUE (store, monitor, seq);


--
-- Name: ix_dirty_period_ready; Type: INDEX; Schema: measurements; Owner: -
--

CREATE INDEX ix_dirty_period_ready ON measurements.dirty_period USING btree (ready_at);


--
-- Name: ix_monitor_state_unconsumed; Type: INDEX; Schema: measurements; Owner: -
--

CREATE INDEX ix_monitor_state_unconsumed ON measurements.monitor_state USING btree (monitor) WHERE (seq > consumed_seq);


--
-- Name: ix_ping_code_monitor; Type: INDEX; Schema: measurements; Owner: -
--

CREATE INDEX ix_ping_code_monitor ON measurements.ping_code USING btree (monitor);


--
-- Name: ix_ping_monitor_received; Type: INDEX; Schema: measurements; Owner: -
--

CREATE INDEX ix_ping_monitor_received ON measurements.ping USING btree (monitor, received_at);


--
-- Name: ix_result_target_started; Type: INDEX; Schema: measurements; Owner: -
--

CREATE INDEX ix_result_target_started ON measurements.result USING btree (target_id, started_at);


--
-- Name: ix_rollup_start; Type: INDEX; Schema: measurements; Owner: -
--

CREATE INDEX ix_rollup_start ON measurements.rollup USING btree (resolution, start, target_id);


--
-- Name: ix_target_deadline; Type: INDEX; Schema: measurements; Owner: -
--

CREATE INDEX ix_target_deadline ON measurements.target USING btree (deadline_at);


--
-- Name: ix_target_due; Type: INDEX; Schema: measurements; Owner: -
--

CREATE INDEX ix_target_due ON measurements.target USING btree (location, next_due_at);


--
-- Name: ix_transition_monitor_since; Type: INDEX; Schema: measurements; Owner: -
--

CREATE INDEX ix_transition_monitor_since ON measurements.transition USING btree (monitor, since);


--
-- Name: auth_group_name_a6ea08ec_like; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX auth_group_name_a6ea08ec_like ON public.auth_group USING btree (name varchar_pattern_ops);


--
-- Name: auth_group_permissions_group_id_b120cbf9; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX auth_group_permissions_group_id_b120cbf9 ON public.auth_group_permissions USING btree (group_id);


--
-- Name: auth_group_permissions_permission_id_84c5c92e; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX auth_group_permissions_permission_id_84c5c92e ON public.auth_group_permissions USING btree (permission_id);


--
-- Name: auth_permission_content_type_id_2f476e4b; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX auth_permission_content_type_id_2f476e4b ON public.auth_permission USING btree (content_type_id);


--
-- Name: auth_user_groups_group_id_97559544; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX auth_user_groups_group_id_97559544 ON public.auth_user_groups USING btree (group_id);


--
-- Name: auth_user_groups_user_id_6a12ed8b; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX auth_user_groups_user_id_6a12ed8b ON public.auth_user_groups USING btree (user_id);


--
-- Name: auth_user_user_permissions_permission_id_1fbb5f2c; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX auth_user_user_permissions_permission_id_1fbb5f2c ON public.auth_user_user_permissions USING btree (permission_id);


--
-- Name: auth_user_user_permissions_user_id_a95ead1b; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX auth_user_user_permissions_user_id_a95ead1b ON public.auth_user_user_permissions USING btree (user_id);


--
-- Name: auth_user_username_6821ab7c_like; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX auth_user_username_6821ab7c_like ON public.auth_user USING btree (username varchar_pattern_ops);


--
-- Name: django_admin_log_content_type_id_c4bce8eb; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX django_admin_log_content_type_id_c4bce8eb ON public.django_admin_log USING btree (content_type_id);


--
-- Name: django_admin_log_user_id_c564eba6; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX django_admin_log_user_id_c564eba6 ON public.django_admin_log USING btree (user_id);


--
-- Name: django_session_expire_date_a5c62663; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX django_session_expire_date_a5c62663 ON public.django_session USING btree (expire_date);


--
-- Name: django_session_session_key_c0390e0f_like; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX django_session_session_key_c0390e0f_like ON public.django_session USING btree (session_key varchar_pattern_ops);


--
-- Name: monitoring__inciden_0ef37c_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX monitoring__inciden_0ef37c_idx ON public.monitoring_notification USING btree (incident_id, channel_id);


--
-- Name: monitoring__monitor_412dd6_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX monitoring__monitor_412dd6_idx ON public.monitoring_incident USING btree (monitor_uuid, opened_at);


--
-- Name: monitoring_alertrule_name_191186ce_like; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX monitoring_alertrule_name_191186ce_like ON public.monitoring_alertrule USING btree (name varchar_pattern_ops);


--
-- Name: monitoring_alertrulechannel_channel_id_6d24c38f; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX monitoring_alertrulechannel_channel_id_6d24c38f ON public.monitoring_alertrulechannel USING btree (channel_id);


--
-- Name: monitoring_alertrulechannel_rule_id_8b050dd1; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX monitoring_alertrulechannel_rule_id_8b050dd1 ON public.monitoring_alertrulechannel USING btree (rule_id);


--
-- Name: monitoring_channel_name_0f48321d_like; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX monitoring_channel_name_0f48321d_like ON public.monitoring_channel USING btree (name varchar_pattern_ops);


--
-- Name: monitoring_component_group_id_a1925cec; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX monitoring_component_group_id_a1925cec ON public.monitoring_component USING btree (group_id);


--
-- Name: monitoring_component_monitor_id_b4b5ff3b; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX monitoring_component_monitor_id_b4b5ff3b ON public.monitoring_component USING btree (monitor_id);


--
-- Name: monitoring_componentgroup_page_id_c3d6de59; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX monitoring_componentgroup_page_id_c3d6de59 ON public.monitoring_componentgroup USING btree (page_id);


--
-- Name: monitoring_incident_monitor_id_0e1b1648; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX monitoring_incident_monitor_id_0e1b1648 ON public.monitoring_incident USING btree (monitor_id);


--
-- Name: monitoring_incidentupdate_incident_id_704b87de; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX monitoring_incidentupdate_incident_id_704b87de ON public.monitoring_incidentupdate USING btree (incident_id);


--
-- Name: monitoring_monitor_slug_495ef5a0_like; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX monitoring_monitor_slug_495ef5a0_like ON public.monitoring_monitor USING btree (slug varchar_pattern_ops);


--
-- Name: monitoring_notification_channel_id_3a9171e1; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX monitoring_notification_channel_id_3a9171e1 ON public.monitoring_notification USING btree (channel_id);


--
-- Name: monitoring_notification_incident_id_fe7b271d; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX monitoring_notification_incident_id_fe7b271d ON public.monitoring_notification USING btree (incident_id);


--
-- Name: monitoring_notification_key_651d6721_like; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX monitoring_notification_key_651d6721_like ON public.monitoring_notification USING btree (key varchar_pattern_ops);


--
-- Name: monitoring_statuspage_slug_e40db8db_like; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX monitoring_statuspage_slug_e40db8db_like ON public.monitoring_statuspage USING btree (slug varchar_pattern_ops);


--
-- Name: one_default_status_page; Type: INDEX; Schema: public; Owner: -
--

CREATE UNIQUE INDEX one_default_status_page ON public.monitoring_statuspage USING btree ("default") WHERE "default";


--
-- Name: one_open_incident_a_cause; Type: INDEX; Schema: public; Owner: -
--

CREATE UNIQUE INDEX one_open_incident_a_cause ON public.monitoring_incident USING btree (monitor_uuid, cause) WHERE ((monitor_uuid IS NOT NULL) AND (resolved_at IS NULL));


--
-- Name: one_open_system_incident_a_cause; Type: INDEX; Schema: public; Owner: -
--

CREATE UNIQUE INDEX one_open_system_incident_a_cause ON public.monitoring_incident USING btree (cause) WHERE ((monitor_uuid IS NULL) AND (resolved_at IS NULL));


--
-- Name: open_incidents; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX open_incidents ON public.monitoring_incident USING btree (resolved_at) WHERE (resolved_at IS NULL);


--
-- Name: waiting_notifications; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX waiting_notifications ON public.monitoring_notification USING btree (next_attempt_at) WHERE ((status)::text = ANY ((ARRAY['pending'::character varying, 'sending'::character varying])::text[]));


--
-- Name: auth_group_permissions auth_group_permissio_permission_id_84c5c92e_fk_auth_perm; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.auth_group_permissions
    ADD CONSTRAINT auth_group_permissio_permission_id_84c5c92e_fk_auth_perm FOREIGN KEY (permission_id) REFERENCES public.auth_permission(id) DEFERRABLE INITIALLY DEFERRED;


--
-- Name: auth_group_permissions auth_group_permissions_group_id_b120cbf9_fk_auth_group_id; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.auth_group_permissions
    ADD CONSTRAINT auth_group_permissions_group_id_b120cbf9_fk_auth_group_id FOREIGN KEY (group_id) REFERENCES public.auth_group(id) DEFERRABLE INITIALLY DEFERRED;


--
-- Name: auth_permission auth_permission_content_type_id_2f476e4b_fk_django_co; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.auth_permission
    ADD CONSTRAINT auth_permission_content_type_id_2f476e4b_fk_django_co FOREIGN KEY (content_type_id) REFERENCES public.django_content_type(id) DEFERRABLE INITIALLY DEFERRED;


--
-- Name: auth_user_groups auth_user_groups_group_id_97559544_fk_auth_group_id; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.auth_user_groups
    ADD CONSTRAINT auth_user_groups_group_id_97559544_fk_auth_group_id FOREIGN KEY (group_id) REFERENCES public.auth_group(id) DEFERRABLE INITIALLY DEFERRED;


--
-- Name: auth_user_groups auth_user_groups_user_id_6a12ed8b_fk_auth_user_id; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.auth_user_groups
    ADD CONSTRAINT auth_user_groups_user_id_6a12ed8b_fk_auth_user_id FOREIGN KEY (user_id) REFERENCES public.auth_user(id) DEFERRABLE INITIALLY DEFERRED;


--
-- Name: auth_user_user_permissions auth_user_user_permi_permission_id_1fbb5f2c_fk_auth_perm; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.auth_user_user_permissions
    ADD CONSTRAINT auth_user_user_permi_permission_id_1fbb5f2c_fk_auth_perm FOREIGN KEY (permission_id) REFERENCES public.auth_permission(id) DEFERRABLE INITIALLY DEFERRED;


--
-- Name: auth_user_user_permissions auth_user_user_permissions_user_id_a95ead1b_fk_auth_user_id; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.auth_user_user_permissions
    ADD CONSTRAINT auth_user_user_permissions_user_id_a95ead1b_fk_auth_user_id FOREIGN KEY (user_id) REFERENCES public.auth_user(id) DEFERRABLE INITIALLY DEFERRED;


--
-- Name: django_admin_log django_admin_log_content_type_id_c4bce8eb_fk_django_co; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.django_admin_log
    ADD CONSTRAINT django_admin_log_content_type_id_c4bce8eb_fk_django_co FOREIGN KEY (content_type_id) REFERENCES public.django_content_type(id) DEFERRABLE INITIALLY DEFERRED;


--
-- Name: django_admin_log django_admin_log_user_id_c564eba6_fk_auth_user_id; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.django_admin_log
    ADD CONSTRAINT django_admin_log_user_id_c564eba6_fk_auth_user_id FOREIGN KEY (user_id) REFERENCES public.auth_user(id) DEFERRABLE INITIALLY DEFERRED;


--
-- Name: monitoring_alertrulechannel monitoring_alertrule_channel_id_6d24c38f_fk_monitorin; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.monitoring_alertrulechannel
    ADD CONSTRAINT monitoring_alertrule_channel_id_6d24c38f_fk_monitorin FOREIGN KEY (channel_id) REFERENCES public.monitoring_channel(uuid) DEFERRABLE INITIALLY DEFERRED;


--
-- Name: monitoring_alertrulechannel monitoring_alertrule_rule_id_8b050dd1_fk_monitorin; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.monitoring_alertrulechannel
    ADD CONSTRAINT monitoring_alertrule_rule_id_8b050dd1_fk_monitorin FOREIGN KEY (rule_id) REFERENCES public.monitoring_alertrule(uuid) DEFERRABLE INITIALLY DEFERRED;


--
-- Name: monitoring_component monitoring_component_group_id_a1925cec_fk_monitorin; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.monitoring_component
    ADD CONSTRAINT monitoring_component_group_id_a1925cec_fk_monitorin FOREIGN KEY (group_id) REFERENCES public.monitoring_componentgroup(id) DEFERRABLE INITIALLY DEFERRED;


--
-- Name: monitoring_component monitoring_component_monitor_id_b4b5ff3b_fk_monitorin; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.monitoring_component
    ADD CONSTRAINT monitoring_component_monitor_id_b4b5ff3b_fk_monitorin FOREIGN KEY (monitor_id) REFERENCES public.monitoring_monitor(uuid) DEFERRABLE INITIALLY DEFERRED;


--
-- Name: monitoring_componentgroup monitoring_component_page_id_c3d6de59_fk_monitorin; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.monitoring_componentgroup
    ADD CONSTRAINT monitoring_component_page_id_c3d6de59_fk_monitorin FOREIGN KEY (page_id) REFERENCES public.monitoring_statuspage(id) DEFERRABLE INITIALLY DEFERRED;


--
-- Name: monitoring_incident monitoring_incident_monitor_id_0e1b1648_fk_monitorin; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.monitoring_incident
    ADD CONSTRAINT monitoring_incident_monitor_id_0e1b1648_fk_monitorin FOREIGN KEY (monitor_id) REFERENCES public.monitoring_monitor(uuid) DEFERRABLE INITIALLY DEFERRED;


--
-- Name: monitoring_incidentupdate monitoring_incidentu_incident_id_704b87de_fk_monitorin; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.monitoring_incidentupdate
    ADD CONSTRAINT monitoring_incidentu_incident_id_704b87de_fk_monitorin FOREIGN KEY (incident_id) REFERENCES public.monitoring_incident(uuid) DEFERRABLE INITIALLY DEFERRED;


--
-- Name: monitoring_notification monitoring_notificat_channel_id_3a9171e1_fk_monitorin; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.monitoring_notification
    ADD CONSTRAINT monitoring_notificat_channel_id_3a9171e1_fk_monitorin FOREIGN KEY (channel_id) REFERENCES public.monitoring_channel(uuid) DEFERRABLE INITIALLY DEFERRED;


--
-- Name: monitoring_notification monitoring_notificat_incident_id_fe7b271d_fk_monitorin; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.monitoring_notification
    ADD CONSTRAINT monitoring_notificat_incident_id_fe7b271d_fk_monitorin FOREIGN KEY (incident_id) REFERENCES public.monitoring_incident(uuid) DEFERRABLE INITIALLY DEFERRED;


--
-- Name: monitoring_pagesnapshot monitoring_pagesnaps_page_id_7dfba561_fk_monitorin; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.monitoring_pagesnapshot
    ADD CONSTRAINT monitoring_pagesnaps_page_id_7dfba561_fk_monitorin FOREIGN KEY (page_id) REFERENCES public.monitoring_statuspage(id) DEFERRABLE INITIALLY DEFERRED;


--
-- Name: monitoring_postmortem monitoring_postmorte_incident_id_8d298ba9_fk_monitorin; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.monitoring_postmortem
    ADD CONSTRAINT monitoring_postmorte_incident_id_8d298ba9_fk_monitorin FOREIGN KEY (incident_id) REFERENCES public.monitoring_incident(uuid) DEFERRABLE INITIALLY DEFERRED;


--
-- PostgreSQL database dump complete
--

\unrestrict 7AGmUeEGrdVyV4TGUigYPcUfMtEDIKT8icWixf98JTncDHlauPatqHYKbjqp2I3


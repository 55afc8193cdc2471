"""A function creates runs, for programs that share the database and have none of the engine's code.

The rules of the release and of the operator are a row of `intake_rules`, which the engine publishes: the function
applies them, and knows no preset, format, bound or price by itself (docs/decisions/0050-runs-made-in-sql.md).
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

# A UUIDv7 (RFC 9562), as models.schema.new_id makes them: the time in milliseconds, then random bits.
NEW_ID = """
CREATE FUNCTION growth_new_id() RETURNS uuid LANGUAGE sql VOLATILE AS $$
  SELECT CAST(encode(set_bit(set_bit(overlay(
    uuid_send(gen_random_uuid())
    PLACING substring(int8send(CAST(floor(extract(epoch FROM clock_timestamp()) * 1000) AS bigint)) FROM 3) FROM 1 FOR 6
  ), 52, 1), 53, 1), 'hex') AS uuid)
$$
"""

# Why a contact can't be worked or kept; null if it can. `models.wire` and `models.bounds` say the same of a request.
PROBLEM = r"""
CREATE FUNCTION growth_contact_problem(contact jsonb, needs jsonb, bounds jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
  name text;
  value jsonb;
  further jsonb := '{}';
  bare text;
BEGIN
  IF jsonb_typeof(contact) <> 'object' THEN
    RETURN 'it should be an object';
  END IF;
  FOR name, value IN SELECT * FROM jsonb_each(contact) LOOP
    IF NOT (bounds->'fields') ? name THEN
      IF length(name) > CAST(bounds->>'column_name' AS int) THEN
        RETURN format('a column''s name has more than %s characters: shorten it', bounds->>'column_name');
      END IF;
      further := further || jsonb_build_object(name, value);
    ELSIF jsonb_typeof(value) NOT IN ('string', 'null') THEN
      RETURN format('field %s: it should be text', name);
    ELSIF length(contact->>name) > CAST(bounds->'fields'->>name AS int) THEN
      RETURN format('field %s: it should have at most %s characters', name, bounds->'fields'->>name);
    ELSIF contact->>name ~ '[\x01-\x08\x0b\x0c\x0e-\x1f\x7f]' THEN
      RETURN format('field %s: control characters are not allowed: remove them', name);
    END IF;
  END LOOP;
  IF NOT EXISTS (
    SELECT FROM jsonb_array_elements(needs) AS choice
    WHERE (SELECT bool_and(coalesce(contact->>field, '') ~ '\S') FROM jsonb_array_elements_text(choice) AS field)
  ) THEN
    RETURN 'a field is missing: it needs ' || (
      SELECT string_agg(
        (SELECT string_agg(field, ' and ') FROM jsonb_array_elements_text(choice) AS field), ', or ' ORDER BY number)
      FROM jsonb_array_elements(needs) WITH ORDINALITY AS choices(choice, number));
  END IF;
  IF further = '{}' THEN
    RETURN NULL;
  END IF;
  IF (SELECT count(*) FROM jsonb_object_keys(further)) > CAST(bounds->>'columns' AS int) THEN
    RETURN format('more than %s further columns: send fewer', bounds->>'columns');
  END IF;
  IF length(CAST(further AS text)) > CAST(bounds->>'chars' AS int) THEN
    RETURN format('more than %s characters in further columns: send less', bounds->>'chars');
  END IF;
  -- Without the texts, what is left of the JSON are numbers, words and brackets.
  bare := regexp_replace(CAST(further AS text), '"(?:[^"\\]|\\.)*"', '', 'g');
  IF bare ~ format('[0-9]{%s}', CAST(bounds->>'digits' AS int) + 1) THEN
    RETURN format('a number has more than %s digits: send it as text', bounds->>'digits');
  END IF;
  IF jsonb_path_exists(further, format('strict $.**{%s to last}', CAST(bounds->>'depth' AS int) + 2)::jsonpath) THEN
    RETURN format('more than %s lists and objects within each other: send it flatter', bounds->>'depth');
  END IF;
  IF jsonb_path_exists(further, 'strict $.** ? (@ > 1.797e308 || @ < -1.797e308)') THEN
    RETURN 'numbers beyond 1e308 can''t be kept: leave them out, or send them as text';
  END IF;
  IF (SELECT count(*) FROM jsonb_path_query(further, 'strict $.**{2 to last}')) > CAST(bounds->>'values' AS int) THEN
    RETURN format('more than %s values within lists and objects: send fewer', bounds->>'values');
  END IF;
  RETURN NULL;
END
$$
"""

# Why a plan can't be run, contacts aside; null if it can.
PLAN_PROBLEM = """
CREATE FUNCTION growth_plan_problem(plan jsonb, rules jsonb) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
  output jsonb := coalesce(plan->'output', '{}');
  unknown text;
  contacts int;
BEGIN
  IF jsonb_typeof(plan) <> 'object' OR jsonb_typeof(plan->'input_assets') IS DISTINCT FROM 'object'
    OR jsonb_typeof(output) <> 'object' THEN
    RETURN 'The goal_plan, its input_assets and its output should be objects.';
  END IF;
  SELECT min(name) INTO unknown FROM (
    SELECT jsonb_object_keys(plan) AS name EXCEPT SELECT unnest(ARRAY['pipeline_id', 'preset', 'input_assets', 'output'])
    UNION ALL (SELECT jsonb_object_keys(plan->'input_assets') EXCEPT SELECT 'contacts')
    UNION ALL (SELECT jsonb_object_keys(output)
      EXCEPT SELECT unnest(ARRAY['required_fields', 'preview_rows', 'export_formats', 'fresh']))
  ) AS names;
  IF unknown IS NOT NULL THEN
    RETURN format('field %s of the goal_plan is not one of a run that is made in SQL: leave it out, or use the API.',
      left(unknown, 40));
  END IF;
  IF plan->'pipeline_id' IS DISTINCT FROM to_jsonb('email_discovery_v1'::text) THEN
    RETURN 'field pipeline_id should be email_discovery_v1.';
  END IF;
  IF jsonb_typeof(plan->'preset') IS DISTINCT FROM 'string' OR NOT (rules->'presets') ? (plan->>'preset') THEN
    RETURN 'There is no such preset: choose ' || (
      SELECT string_agg(name, ' or ' ORDER BY name) FROM jsonb_object_keys(rules->'presets') AS name) || '.';
  END IF;
  IF jsonb_typeof(plan->'input_assets'->'contacts') IS DISTINCT FROM 'array' THEN
    RETURN 'field input_assets.contacts should be a list.';
  END IF;
  contacts := jsonb_array_length(plan->'input_assets'->'contacts');
  IF contacts = 0 THEN
    RETURN 'There are no contacts: send at least one.';
  ELSIF contacts > CAST(rules->>'max_contacts' AS int) THEN
    RETURN format('There are more contacts than the %s of one run: split it into smaller ones.', rules->>'max_contacts');
  END IF;
  IF jsonb_typeof(coalesce(output->'preview_rows', '0')) <> 'number'
    OR CAST(coalesce(output->'preview_rows', '0') AS numeric) NOT BETWEEN 0 AND CAST(rules->>'preview_rows' AS int)
    OR CAST(coalesce(output->'preview_rows', '0') AS numeric) % 1 <> 0 THEN
    RETURN format('field output.preview_rows should be a whole number up to %s.', rules->>'preview_rows');
  END IF;
  IF jsonb_typeof(coalesce(output->'fresh', 'false')) <> 'boolean' THEN
    RETURN 'field output.fresh should be true or false.';
  END IF;
  IF NOT growth_each_once(coalesce(output->'required_fields', '[]'), rules->'bounds'->'fields') THEN
    RETURN 'field output.required_fields should name fields of a contact, each once.';
  END IF;
  IF NOT growth_each_once(coalesce(output->'export_formats', '[]'), rules->'formats') THEN
    RETURN 'field output.export_formats should name formats of export files, each once.';
  END IF;
  IF EXISTS (
    SELECT FROM jsonb_array_elements_text(coalesce(output->'export_formats', rules->'default_formats')) AS name
    WHERE CAST(rules->'formats'->>name AS int) < contacts
  ) THEN
    RETURN format('A worksheet can''t hold %s contacts: choose csv or parquet.', contacts);
  END IF;
  RETURN NULL;
END
$$
"""

EACH_ONCE = """
CREATE FUNCTION growth_each_once(names jsonb, known jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN jsonb_typeof(names) = 'array' THEN (
    SELECT coalesce(bool_and(jsonb_typeof(name) = 'string' AND known ? (name #>> '{}')), true)
      AND count(*) = count(DISTINCT name)
    FROM jsonb_array_elements(names) AS name
  ) ELSE false END
$$
"""

# The order of work is only nearly that of `pipeline.runs.work_order`: it is a matter of speed. Who repeats whom is found
# out when the run starts, since that is a matter of money.
CREATE_RUN = r"""
CREATE FUNCTION growth_create_run(
  for_account uuid, goal_plan json, use_key text DEFAULT NULL, OUT created_run uuid, OUT is_new boolean
) LANGUAGE plpgsql SECURITY DEFINER SET search_path = {schema}, pg_temp AS $$
DECLARE
  rules jsonb := (SELECT r.rules FROM intake_rules r);
  plan jsonb;
  output jsonb;
  preset_rules jsonb;
  digest bytea;
  earlier record;
  problem text;
  count_of_contacts int;
  price bigint;
  balance bigint;
BEGIN
  IF rules IS NULL THEN
    RAISE EXCEPTION 'The engine has published no rules yet: start its sweeper once, then try again.'
      USING ERRCODE = 'GR503';
  END IF;
  IF use_key !~ format('^[ -~]{{1,%s}}$', rules->>'key_chars') THEN
    RAISE EXCEPTION 'The idempotency key must be 1 to % printable ASCII characters: change it.', rules->>'key_chars'
      USING ERRCODE = 'GR422';
  END IF;
  BEGIN
    plan := goal_plan;
  EXCEPTION WHEN data_exception OR statement_too_complex THEN
    RAISE EXCEPTION 'The goal_plan holds a NUL character, half a surrogate pair, or is too deep: correct it.'
      USING ERRCODE = 'GR422';
  END;
  problem := growth_plan_problem(plan, rules);
  IF problem IS NULL THEN
    preset_rules := rules->'presets'->(plan->>'preset');
    SELECT string_agg(format('contact %s: %s', bad.number, bad.why), '; ' ORDER BY bad.number) INTO problem FROM (
      SELECT c.number, c.why FROM (
        SELECT e.number, growth_contact_problem(e.contact, preset_rules->'needs', rules->'bounds') AS why
        FROM jsonb_array_elements(plan->'input_assets'->'contacts') WITH ORDINALITY AS e(contact, number) OFFSET 0
      ) AS c WHERE c.why IS NOT NULL LIMIT 10
    ) AS bad;
  END IF;
  IF problem IS NOT NULL THEN
    RAISE EXCEPTION '%', problem USING ERRCODE = 'GR422';
  END IF;
  IF NOT EXISTS (SELECT FROM accounts a WHERE a.id = for_account) THEN
    RAISE EXCEPTION 'There is no account with this id: `growth account create` opens one.' USING ERRCODE = 'GR404';
  END IF;

  output := coalesce(plan->'output', '{{}}');
  count_of_contacts := jsonb_array_length(plan->'input_assets'->'contacts');
  digest := sha256(convert_to(plan::text, 'UTF8'));
  created_run := growth_new_id();
  INSERT INTO runs (
    id, account_id, pipeline_id, preset, contact_count, charged_contacts, made_in_sql, extra_columns, required_fields,
    preview_rows, export_formats, fresh, idempotency_key, request_digest, charge_per_contact, rebate_per_unresolved,
    rebate_per_unverified, resend_at
  ) VALUES (
    created_run, for_account, plan->>'pipeline_id', plan->>'preset', count_of_contacts, count_of_contacts, true, '[]',
    coalesce(output->'required_fields', rules->'default_fields'),
    coalesce(CAST(CAST(output->'preview_rows' AS numeric) AS int), 0),
    coalesce(output->'export_formats', rules->'default_formats'), coalesce(CAST(output->'fresh' AS boolean), false),
    use_key, CASE WHEN use_key IS NOT NULL THEN digest END, CAST(rules->'rates'->>'per_contact' AS int),
    CAST(rules->'rates'->>'rebate_per_unresolved' AS int), CAST(rules->'rates'->>'rebate_per_unverified' AS int),
    clock_timestamp() + interval '5 seconds'
  ) ON CONFLICT (account_id, idempotency_key) DO NOTHING;
  is_new := FOUND;
  IF NOT is_new THEN
    SELECT r.id, r.request_digest INTO earlier FROM runs r
    WHERE r.account_id = for_account AND r.idempotency_key = use_key;
    IF earlier.request_digest IS DISTINCT FROM digest THEN
      RAISE EXCEPTION 'This idempotency key was used before with another body: send the same body, or a new key.'
        USING ERRCODE = 'GR409';
    END IF;
    created_run := earlier.id;
    RETURN;
  END IF;

  INSERT INTO run_stages (run_id, stage, ordinal, total)
  SELECT created_run, s.stage, s.number - 1, count_of_contacts
  FROM jsonb_array_elements_text(preset_rules->'stages') WITH ORDINALITY AS s(stage, number);

  INSERT INTO contacts (
    run_id, position, input_row, first_name, last_name, full_name, company, domain, email, extra
  )
  SELECT created_run,
    row_number() OVER (ORDER BY o.at_domain COLLATE "C", o.at_company COLLATE "C", o.first_number, o.number) - 1,
    o.number - 1, o.first_name, o.last_name, o.full_name, o.company, o.domain, nullif(o.email, ''), o.extra
  FROM (SELECT p.*, min(p.number) OVER (PARTITION BY p.at_domain, p.at_company, p.person) AS first_number FROM (
    SELECT c.*, CASE WHEN c.at_domain = '' THEN lower(c.company) ELSE '' END AS at_company
    FROM (
      SELECT f.*, lower(f.first_name || ' ' || f.last_name || ' ' || f.full_name || ' ' || f.email) AS person,
        regexp_replace(
          lower(trim(CASE WHEN f.domain <> '' THEN f.domain ELSE substring(f.email FROM '[^@]*$') END)),
          '^(?:[a-z][a-z0-9+.-]*://)?(?:[^/@]*@)?(?:www\.)?([^/:?#]*).*$', '\1') AS at_domain
    FROM (
      SELECT e.number, coalesce(e.contact->>'first_name', '') AS first_name,
        coalesce(e.contact->>'last_name', '') AS last_name, coalesce(e.contact->>'full_name', '') AS full_name,
        coalesce(e.contact->>'company', '') AS company, coalesce(e.contact->>'domain', '') AS domain,
        coalesce(e.contact->>'email', '') AS email,
        coalesce((
          SELECT json_object_agg(x.key, x.value ORDER BY x.place)
          FROM json_each(e.contact) WITH ORDINALITY AS x(key, value, place)
          WHERE NOT (rules->'bounds'->'fields') ? x.key), '{{}}') AS extra
      FROM json_array_elements(goal_plan->'input_assets'->'contacts') WITH ORDINALITY AS e(contact, number)
    ) AS f
  ) AS c) AS p) AS o;

  UPDATE runs SET extra_columns = found.names FROM (
    SELECT coalesce(jsonb_agg(named.key ORDER BY named.row, named.place), '[]') AS names FROM (
      SELECT DISTINCT ON (x.key) x.key, c.input_row AS row, x.place
      FROM contacts c, json_each(c.extra) WITH ORDINALITY AS x(key, value, place)
      WHERE c.run_id = created_run ORDER BY x.key, c.input_row, x.place
    ) AS named
  ) AS found WHERE id = created_run AND found.names <> '[]';
  IF (SELECT jsonb_array_length(extra_columns) FROM runs WHERE id = created_run)
    > CAST(rules->'bounds'->>'columns_of_run' AS int) THEN
    RAISE EXCEPTION 'The contacts of a run have more than % different further columns together: send fewer.',
      rules->'bounds'->>'columns_of_run' USING ERRCODE = 'GR422';
  END IF;

  INSERT INTO run_events (run_id, kind, detail) VALUES (
    created_run, 'created', jsonb_build_object('contacts', count_of_contacts, 'preset', plan->'preset'));

  -- Last: the account's row stays locked until the caller's transaction ends.
  price := CAST(count_of_contacts AS bigint) * CAST(rules->'rates'->>'per_contact' AS int);
  UPDATE accounts SET credit_balance = credit_balance - price WHERE id = for_account AND credit_balance >= price;
  IF NOT FOUND THEN
    SELECT credit_balance INTO balance FROM accounts WHERE id = for_account;
    RAISE EXCEPTION 'This run costs % credits (% contacts at %), and the account has %: buy credits or send fewer contacts.', price, count_of_contacts, rules->'rates'->>'per_contact', balance USING ERRCODE = 'GR402';
  END IF;
  INSERT INTO credit_ledger (id, account_id, run_id, kind, credits, held)
  VALUES (growth_new_id(), for_account, created_run, 'charge', -price, price);
END
$$
"""
FUNCTIONS = (
    "growth_create_run(uuid, json, text)",
    "growth_plan_problem(jsonb, jsonb)",
    "growth_each_once(jsonb, jsonb)",
    "growth_contact_problem(jsonb, jsonb, jsonb)",
    "growth_new_id()",
)


def upgrade() -> None:
    op.create_table(
        "intake_rules",
        sa.Column("only_row", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("rules", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("only_row", name=op.f("ck_intake_rules_only_row")),
        sa.PrimaryKeyConstraint("only_row", name=op.f("pk_intake_rules")),
    )
    op.add_column("runs", sa.Column("made_in_sql", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    schema = op.get_bind().scalar(sa.text("SELECT quote_ident(current_schema())"))
    for function in (NEW_ID, PROBLEM, EACH_ONCE, PLAN_PROBLEM, CREATE_RUN.format(schema=schema)):
        # Percent signs and colons are the function's own.
        op.get_bind().exec_driver_sql(function, execution_options={"no_parameters": True})
    # It runs with the rights of its owner: the operator grants it to whom may create runs.
    op.execute(f"REVOKE ALL ON FUNCTION {FUNCTIONS[0]} FROM PUBLIC")


def downgrade() -> None:
    for function in FUNCTIONS:
        op.execute(f"DROP FUNCTION {function}")
    op.drop_column("runs", "made_in_sql")
    op.drop_table("intake_rules")

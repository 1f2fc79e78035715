-- Before all others: who may connect to the database, and what anybody may make in it. "ROLE" stands for the login;
-- `migrate grants` puts its name there.

-- Every role may connect to a database that says nothing, take advisory locks in it (the relay's lead is one), and,
-- before Postgres 15, make operators and functions in its schema that run in other people's statements.
do $$
begin
    execute format('revoke connect, temporary on database %I from public', current_database());
    execute format('grant connect on database %I to "ROLE"', current_database());
    execute format('revoke create on schema %I from public', current_schema());
    execute format('grant usage on schema %I to "ROLE"', current_schema());
end
$$;

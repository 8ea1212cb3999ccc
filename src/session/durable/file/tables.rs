//! What the file holds, and the statements that read and change it.

use rusqlite::{CachedStatement, Connection, OptionalExtension, Result, Row, named_params};

use super::super::{
    super::{Handle, Lease},
    records::{Kept, Page, UserRow},
};

/// The format of the tables, in the file's `user_version`. A change of them is another one.
pub(super) const FORMAT: i64 = 1;

/// The tables of a new file.
///
/// Sessions have numbers beside their random handles, so that new ones stand together at the end of their table and the
/// app's data go with them. Times are seconds since 1970; a record is over when its time has come.
pub(super) const SCHEMA: &str = "
    CREATE TABLE session (
        id INTEGER PRIMARY KEY, handle BLOB NOT NULL UNIQUE, ends INTEGER NOT NULL, sealed BLOB NOT NULL) STRICT;
    CREATE INDEX session_ends ON session (ends);
    CREATE TABLE app_data (
        session INTEGER PRIMARY KEY REFERENCES session (id) ON DELETE CASCADE, sealed BLOB NOT NULL) STRICT;
    CREATE TABLE user (
        name TEXT NOT NULL UNIQUE, epoch INTEGER NOT NULL, version INTEGER NOT NULL, ends INTEGER NOT NULL,
        sealed BLOB NOT NULL) STRICT;
    CREATE INDEX user_ends ON user (ends);
    CREATE TABLE account (appid TEXT PRIMARY KEY, epoch INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE claim (once TEXT PRIMARY KEY, ends INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    CREATE INDEX claim_ends ON claim (ends);
    CREATE TABLE outcome (once TEXT PRIMARY KEY, ends INTEGER NOT NULL, sealed BLOB NOT NULL) STRICT, WITHOUT ROWID;
    CREATE INDEX outcome_ends ON outcome (ends);
    CREATE TABLE lease (work TEXT PRIMARY KEY, ends INTEGER NOT NULL, lease INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    CREATE INDEX lease_ends ON lease (ends);";

/// A look into each table and index, which finds those whose first page is damaged.
pub(super) const LOOKS: [&str; 11] = [
    "SELECT sealed FROM session ORDER BY id LIMIT 1",
    "SELECT handle FROM session ORDER BY handle LIMIT 1",
    "SELECT ends FROM session ORDER BY ends LIMIT 1",
    "SELECT sealed FROM app_data ORDER BY session LIMIT 1",
    "SELECT sealed FROM user ORDER BY name LIMIT 1",
    "SELECT ends FROM user ORDER BY ends LIMIT 1",
    "SELECT epoch FROM account LIMIT 1",
    "SELECT once, ends FROM claim ORDER BY once LIMIT 1",
    "SELECT sealed FROM outcome ORDER BY once LIMIT 1",
    "SELECT work, lease FROM lease ORDER BY work LIMIT 1",
    "SELECT ends FROM lease ORDER BY ends LIMIT 1",
];

/// A moment as the file has it.
pub(super) fn seconds(unix: u64) -> i64 {
    i64::try_from(unix).unwrap_or(i64::MAX)
}

/// The tables of an open file. `now` and `end` are moments; what ends by now is absent.
pub(super) struct Tables<'a>(pub(super) &'a Connection);

impl Tables<'_> {
    fn with(&self, sql: &str) -> Result<CachedStatement<'_>> {
        self.0.prepare_cached(sql)
    }

    pub(super) fn session(&self, session: Handle, now: i64) -> Result<Option<Kept>> {
        self.with("SELECT ends, sealed FROM session WHERE handle = ?1 AND ends > ?2")?
            .query_row((session.to_bytes(), now), |row| kept(row, now))
            .optional()
    }

    pub(super) fn put_session(&self, session: Handle, sealed: &[u8], end: i64) -> Result<()> {
        self.with(
            "INSERT INTO session (handle, ends, sealed) VALUES (?1, ?2, ?3)
             ON CONFLICT DO UPDATE SET ends = excluded.ends, sealed = excluded.sealed",
        )?
        .execute((session.to_bytes(), end, sealed))?;
        Ok(())
    }

    pub(super) fn keep_session(&self, session: Handle, end: i64, now: i64) -> Result<()> {
        self.with("UPDATE session SET ends = ?2 WHERE handle = ?1 AND ends > ?3")?.execute((
            session.to_bytes(),
            end,
            now,
        ))?;
        Ok(())
    }

    pub(super) fn remove_session(&self, session: Handle, now: i64) -> Result<bool> {
        let ended: Option<i64> = self
            .with("DELETE FROM session WHERE handle = ?1 RETURNING ends")?
            .query_row([session.to_bytes()], |row| row.get(0))
            .optional()?;
        Ok(ended.is_some_and(|ends| ends > now))
    }

    pub(super) fn sessions(&self, after: i64, limit: usize, now: i64) -> Result<Page> {
        let mut page = Page::default();
        let limit = limit.max(1);
        let mut statement = self.with(
            "SELECT ends, sealed, id, handle FROM session WHERE id > ?1 ORDER BY id LIMIT ?2",
        )?;
        let mut rows = statement.query((after, i64::try_from(limit).unwrap_or(i64::MAX)))?;
        let mut seen = 0;
        // Those that are over count too, or a page might have to look at all of them.
        while let Some(row) = rows.next()? {
            seen += 1;
            if row.get::<_, i64>("ends")? > now {
                page.sessions.push((Handle::from_bytes(row.get("handle")?), kept(row, now)?));
            }
            if seen == limit {
                page.next = Some(row.get::<_, i64>("id")?.to_string());
            }
        }
        Ok(page)
    }

    pub(super) fn app_data(&self, session: Handle, now: i64) -> Result<Option<Vec<u8>>> {
        self.with(
            "SELECT app_data.sealed FROM session JOIN app_data ON app_data.session = session.id
             WHERE handle = ?1 AND ends > ?2",
        )?
        .query_row((session.to_bytes(), now), |row| row.get(0))
        .optional()
    }

    pub(super) fn put_app_data(&self, session: Handle, sealed: &[u8], now: i64) -> Result<bool> {
        let changed = self
            .with(
                "INSERT INTO app_data (session, sealed) SELECT id, ?2 FROM session WHERE handle = ?1 AND ends > ?3
                 ON CONFLICT DO UPDATE SET sealed = excluded.sealed",
            )?
            .execute((session.to_bytes(), sealed, now))?;
        Ok(changed > 0)
    }

    pub(super) fn remove_app_data(&self, session: Handle) -> Result<()> {
        self.with(
            "DELETE FROM app_data WHERE session = (SELECT id FROM session WHERE handle = ?1)",
        )?
        .execute([session.to_bytes()])?;
        Ok(())
    }

    pub(super) fn user(&self, user: &str, now: i64) -> Result<Option<UserRow>> {
        self.with("SELECT epoch, version, sealed FROM user WHERE name = ?1 AND ends > ?2")?
            .query_row((user, now), |row| {
                let (epoch, version) = (number(row, "epoch")?, number(row, "version")?);
                Ok(UserRow { epoch, version, sealed: row.get("sealed")? })
            })
            .optional()
    }

    pub(super) fn put_user(
        &self,
        user: &str,
        instead_of: Option<u64>,
        row: &UserRow,
        end: i64,
        now: i64,
    ) -> Result<bool> {
        let version = row.version.cast_signed();
        let changed = match instead_of {
            Some(expected) => self
                .with(
                    "UPDATE user SET version = :version, ends = :end, sealed = :sealed
                     WHERE name = :user AND version = :expected AND ends > :now",
                )?
                .execute(named_params! {
                    ":user": user, ":version": version, ":end": end, ":sealed": row.sealed,
                    ":expected": expected.cast_signed(), ":now": now,
                })?,
            None => self
                .with(
                    "INSERT INTO user (name, epoch, version, ends, sealed)
                     VALUES (:user, :epoch, :version, :end, :sealed)
                     ON CONFLICT DO UPDATE SET epoch = excluded.epoch, version = excluded.version,
                         ends = excluded.ends, sealed = excluded.sealed WHERE ends <= :now",
                )?
                .execute(named_params! {
                    ":user": user, ":epoch": row.epoch.cast_signed(), ":version": version, ":end": end,
                    ":sealed": row.sealed, ":now": now,
                })?,
        };
        Ok(changed > 0)
    }

    pub(super) fn set_user_epoch(&self, user: &str, epoch: u64) -> Result<()> {
        self.with("UPDATE user SET epoch = ?2 WHERE name = ?1")?
            .execute((user, epoch.cast_signed()))?;
        Ok(())
    }

    pub(super) fn remove_user(&self, user: &str) -> Result<()> {
        self.with("DELETE FROM user WHERE name = ?1")?.execute([user])?;
        Ok(())
    }

    pub(super) fn account_epoch(&self, appid: &str) -> Result<Option<u64>> {
        self.with("SELECT epoch FROM account WHERE appid = ?1")?
            .query_row([appid], |row| number(row, "epoch"))
            .optional()
    }

    pub(super) fn make_account_epoch(&self, appid: &str, epoch: u64) -> Result<u64> {
        self.with("INSERT INTO account (appid, epoch) VALUES (?1, ?2) ON CONFLICT DO NOTHING")?
            .execute((appid, epoch.cast_signed()))?;
        self.with("SELECT epoch FROM account WHERE appid = ?1")?
            .query_row([appid], |row| number(row, "epoch"))
    }

    pub(super) fn set_account_epoch(&self, appid: &str, epoch: u64) -> Result<()> {
        self.with(
            "INSERT INTO account (appid, epoch) VALUES (?1, ?2)
             ON CONFLICT DO UPDATE SET epoch = excluded.epoch",
        )?
        .execute((appid, epoch.cast_signed()))?;
        Ok(())
    }

    pub(super) fn claim(&self, once: &str, end: i64, now: i64) -> Result<bool> {
        let changed = self
            .with(
                "INSERT INTO claim (once, ends) VALUES (?1, ?2)
                 ON CONFLICT DO UPDATE SET ends = excluded.ends WHERE ends <= ?3",
            )?
            .execute((once, end, now))?;
        Ok(changed > 0)
    }

    pub(super) fn put_outcome(&self, once: &str, sealed: &[u8], end: i64) -> Result<()> {
        self.with(
            "INSERT INTO outcome (once, ends, sealed) VALUES (?1, ?2, ?3)
             ON CONFLICT DO UPDATE SET ends = excluded.ends, sealed = excluded.sealed",
        )?
        .execute((once, end, sealed))?;
        Ok(())
    }

    pub(super) fn outcome(&self, once: &str, now: i64) -> Result<Option<Vec<u8>>> {
        self.with("SELECT sealed FROM outcome WHERE once = ?1 AND ends > ?2")?
            .query_row((once, now), |row| row.get(0))
            .optional()
    }

    pub(super) fn lease(&self, work: &str, lease: Lease, end: i64, now: i64) -> Result<bool> {
        let changed = self
            .with(
                "INSERT INTO lease (work, ends, lease) VALUES (?1, ?2, ?3)
                 ON CONFLICT DO UPDATE SET ends = excluded.ends, lease = excluded.lease WHERE ends <= ?4",
            )?
            .execute((work, end, lease.number().cast_signed(), now))?;
        Ok(changed > 0)
    }

    pub(super) fn release(&self, work: &str, lease: Lease) -> Result<()> {
        self.with("DELETE FROM lease WHERE work = ?1 AND lease = ?2")?
            .execute((work, lease.number().cast_signed()))?;
        Ok(())
    }

    /// Deletes what is over, at most `limit` records of each kind. True where there may be more of it.
    pub(super) fn sweep(&self, now: i64, limit: usize) -> Result<bool> {
        let mut is_more = false;
        for sql in [
            "DELETE FROM session WHERE id IN (SELECT id FROM session WHERE ends <= ?1 LIMIT ?2)",
            "DELETE FROM user WHERE rowid IN (SELECT rowid FROM user WHERE ends <= ?1 LIMIT ?2)",
            "DELETE FROM claim WHERE once IN (SELECT once FROM claim WHERE ends <= ?1 LIMIT ?2)",
            "DELETE FROM outcome WHERE once IN (SELECT once FROM outcome WHERE ends <= ?1 LIMIT ?2)",
            "DELETE FROM lease WHERE work IN (SELECT work FROM lease WHERE ends <= ?1 LIMIT ?2)",
        ] {
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let deleted = self.with(sql)?.execute((now, limit))?;
            is_more |= i64::try_from(deleted).is_ok_and(|deleted| deleted == limit);
        }
        Ok(is_more)
    }
}

fn kept(row: &Row<'_>, now: i64) -> Result<Kept> {
    let left = row.get::<_, i64>("ends")?.saturating_sub(now);
    let left = std::time::Duration::from_secs(u64::try_from(left).unwrap_or(0));
    Ok(Kept { sealed: row.get("sealed")?, left })
}

/// A number that uses all 64 bits. SQLite knows signed ones only.
fn number(row: &Row<'_>, column: &str) -> Result<u64> {
    Ok(row.get::<_, i64>(column)?.cast_unsigned())
}

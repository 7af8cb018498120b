-- The register that `rosterd init` creates on MySQL and MariaDB: what the default mapping names.
CREATE TABLE registrations (
  id                      bigint AUTO_INCREMENT PRIMARY KEY,
  email                   varchar(255) NOT NULL,
  membership              varchar(50) NOT NULL DEFAULT 'subscriber',   -- member | supporter | subscriber
  subscription            varchar(20) NOT NULL DEFAULT 'subscribed',   -- subscribed | unsubscribed | pending | cleaned
  subscription_changed_at timestamp(6) NULL DEFAULT NULL,   -- when the person last said so
  first_name              text,
  last_name               text,
  organisation            text,
  country                 text,
  signup_ip               varchar(45),   -- proof of consent, passed on to Mailchimp
  signup_at               timestamp(6) NULL DEFAULT NULL,
  preferences_url         text,          -- written by Rosterd: the member's preference center
  sync_note               text,          -- written by Rosterd: why this row cannot be synchronized, else NULL
  created_at              timestamp(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
  updated_at              timestamp(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
  deleted_at              timestamp(6) NULL DEFAULT NULL,
  KEY registrations_email (email),
  KEY registrations_updated_at (updated_at)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4;

CREATE TABLE registration_interests (
  registration_id bigint NOT NULL,
  dimension       varchar(50) NOT NULL,  -- topic | region | sector
  interest        varchar(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  PRIMARY KEY (registration_id, dimension, interest),
  FOREIGN KEY (registration_id) REFERENCES registrations (id) ON DELETE CASCADE
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4;

CREATE TABLE registration_removals (
  position        bigint AUTO_INCREMENT PRIMARY KEY,
  registration_id bigint NOT NULL,
  removed_at      timestamp(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4;

-- updated_at is true on every change but those of Rosterd's own two columns; a statement may set it itself, forward. A
-- change of consent without a time of its own happened now.
CREATE TRIGGER registrations_touched BEFORE UPDATE ON registrations FOR EACH ROW
BEGIN
  IF NOT (NEW.subscription <=> OLD.subscription)
    AND NEW.subscription_changed_at <=> OLD.subscription_changed_at THEN
    SET NEW.subscription_changed_at = NOW(6);
  END IF;
  IF NEW.updated_at <= OLD.updated_at AND (NOT (NEW.id <=> OLD.id) OR NOT (BINARY NEW.email <=> BINARY OLD.email)
    OR NOT (NEW.membership <=> OLD.membership) OR NOT (NEW.subscription <=> OLD.subscription)
    OR NOT (NEW.subscription_changed_at <=> OLD.subscription_changed_at)
    OR NOT (BINARY NEW.first_name <=> BINARY OLD.first_name)
    OR NOT (BINARY NEW.last_name <=> BINARY OLD.last_name)
    OR NOT (BINARY NEW.organisation <=> BINARY OLD.organisation)
    OR NOT (BINARY NEW.country <=> BINARY OLD.country) OR NOT (NEW.signup_ip <=> OLD.signup_ip)
    OR NOT (NEW.signup_at <=> OLD.signup_at) OR NOT (NEW.created_at <=> OLD.created_at)
    OR NOT (NEW.deleted_at <=> OLD.deleted_at)) THEN
    SET NEW.updated_at = greatest(NOW(6), OLD.updated_at + INTERVAL 1 MICROSECOND);
  END IF;
END;

-- A removed row leaves a trace, and so does a key that was changed. What a foreign key cascades fires no trigger.
CREATE TRIGGER registrations_removed AFTER DELETE ON registrations FOR EACH ROW
  INSERT INTO registration_removals (registration_id) VALUES (OLD.id);

CREATE TRIGGER registrations_rekeyed AFTER UPDATE ON registrations FOR EACH ROW
BEGIN
  IF NOT (NEW.id <=> OLD.id) THEN
    INSERT INTO registration_removals (registration_id) VALUES (OLD.id);
  END IF;
END;

CREATE TRIGGER registration_interests_added AFTER INSERT ON registration_interests FOR EACH ROW
  UPDATE registrations SET updated_at = greatest(NOW(6), updated_at + INTERVAL 1 MICROSECOND)
  WHERE id = NEW.registration_id;

CREATE TRIGGER registration_interests_changed AFTER UPDATE ON registration_interests FOR EACH ROW
  UPDATE registrations SET updated_at = greatest(NOW(6), updated_at + INTERVAL 1 MICROSECOND)
  WHERE id IN (OLD.registration_id, NEW.registration_id);

CREATE TRIGGER registration_interests_dropped AFTER DELETE ON registration_interests FOR EACH ROW
  UPDATE registrations SET updated_at = greatest(NOW(6), updated_at + INTERVAL 1 MICROSECOND)
  WHERE id = OLD.registration_id;

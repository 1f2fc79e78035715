import java.nio.charset.StandardCharsets;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Savepoint;
import java.time.Duration;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.WakeupException;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * A bank that takes part in sagas: TakePayment, and RefundPayment, which takes it back.
 *
 * <p>What a saga asks of a participant (once per saga and step, undo before do, the same answer
 * again) is in three SQL functions, which are called in the transaction that moves the money:
 * participant_begin says what is to be done, participant_finish and participant_refuse record the
 * answer and put it into the outbox. The relay sends it.
 *
 * <p>DATABASE_URL (jdbc:postgresql://...) and KAFKA_BROKERS say where everything is.
 */
public final class Bank {
  private static final String TOPIC = "bank.commands.v1";
  private static final String STEP =
      """
      {"topic": "bank.v1", "do": "TakePayment", "done": "PaymentTaken", "refused": "PaymentDeclined",
       "undo": "RefundPayment", "undone": "PaymentRefunded"}""";

  /** The business says no. That is an answer; any other exception is none. */
  private static final class Refused extends Exception {
    Refused(String reason) {
      super(reason);
    }
  }

  /** A command, as the functions take it, its saga and its body; all of it JSON. */
  private record Command(String json, String saga, String body) {}

  /** Takes the money. What it did is rolled back if it throws. */
  private static String pay(Connection db, Command c) throws SQLException, Refused {
    try {
      String card = one(db, "select ?::jsonb ->> 'card'", c.body);
      if (one(db, "update accounts set cents = cents - (?::jsonb ->> 'cents')::bigint where card = ? returning card", c.body, card) == null) {
        throw new Refused("unknown card");
      }
      return one(db, "insert into payments (saga, card, cents) values (?, ?, (?::jsonb ->> 'cents')::bigint)"
          + " returning jsonb_build_object('card', card, 'cents', cents)", c.saga, card, c.body);
    } catch (SQLException e) {
      if ("23514".equals(e.getSQLState())) { // the check accounts_covered
        throw new Refused("insufficient funds");
      }
      throw e;
    }
  }

  /** Takes back what pay did; called for a saga that has paid, and once. */
  private static void refund(Connection db, Command c) throws SQLException {
    one(db, "with p as (delete from payments where saga = ? returning card, cents)"
        + " update accounts a set cents = a.cents + p.cents from p where a.card = p.card returning a.card", c.saga);
  }

  /** Carries a command out in one transaction, together with its answer. */
  private static void handle(Connection db, Command c) throws SQLException {
    switch (one(db, "select participant_begin(?::jsonb, ?::jsonb)", STEP, c.json)) {
      case "do" -> {
        Savepoint before = db.setSavepoint(); // a refusal leaves nothing behind
        try {
          String reply = pay(db, c);
          one(db, "select participant_finish(?::jsonb, ?::jsonb, ?)", STEP, c.json, reply);
        } catch (Refused refusal) {
          db.rollback(before);
          one(db, "select participant_refuse(?::jsonb, ?::jsonb, ?)", STEP, c.json, refusal.getMessage());
        }
      }
      case "undo" -> {
        refund(db, c);
        one(db, "select participant_finish(?::jsonb, ?::jsonb)", STEP, c.json);
      }
      default -> {} // answered from what is known
    }
  }

  /** Handles a message in one transaction. */
  private static void handle(Connection db, ConsumerRecord<byte[], byte[]> message) throws SQLException {
    String type = header(message, "ce_type");
    if ("TakePayment".equals(type) || "RefundPayment".equals(type)) { // other types are not for us
      String json = one(db, "select jsonb_strip_nulls(jsonb_build_object('id', ?::text, 'type', ?::text, 'key', ?::text,"
          + " 'saga', ?::text, 'traceparent', ?::text))", header(message, "ce_id"), type, text(message.key()),
          header(message, "waybill-saga"), header(message, "traceparent"));
      handle(db, new Command(json, one(db, "select participant_saga(?::jsonb)", json), text(message.value())));
    }
  }

  /** Keeps a message that can never be handled, for a person to look at. */
  private static void setAside(Connection db, ConsumerRecord<byte[], byte[]> message, SQLException why) throws SQLException {
    one(db, "insert into outbox (topic, type, payload, headers) values (?, 'DeadLetter', decode(?, 'base64'),"
        + " jsonb_build_object('waybill-dlq-reason', ?::text)) returning id::text", TOPIC + ".dlq",
        Base64.getEncoder().encodeToString(message.value() == null ? new byte[0] : message.value()), why.getMessage());
  }

  /** Says whether an error is the message's own: data exceptions and violated constraints stay as they are. */
  private static boolean ownFault(SQLException e) {
    return e.getSQLState() != null && (e.getSQLState().startsWith("22") || e.getSQLState().startsWith("23"));
  }

  public static void main(String[] args) throws InterruptedException {
    var consumer = new KafkaConsumer<byte[], byte[]>(
        Map.of("bootstrap.servers", System.getenv("KAFKA_BROKERS"), "group.id", "bank",
            "auto.offset.reset", "earliest", "enable.auto.commit", "false"),
        new ByteArrayDeserializer(), new ByteArrayDeserializer());
    Thread main = Thread.currentThread();
    Runtime.getRuntime().addShutdownHook(new Thread(() -> {
      consumer.wakeup();
      try {
        main.join(10_000);
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
      }
    }));
    consumer.subscribe(List.of(TOPIC));
    try (consumer) {
      while (true) {
        for (var message : consumer.poll(Duration.ofSeconds(1))) {
          untilDone(message);
          // Committed after the database is: a message can come again, and is answered again.
          consumer.commitSync(Map.of(new TopicPartition(message.topic(), message.partition()),
              new OffsetAndMetadata(message.offset() + 1)));
        }
      }
    } catch (WakeupException stopped) {
      // SIGTERM
    }
  }

  /** Tries until the message is handled: a database that is down is no reason to answer anything. */
  private static void untilDone(ConsumerRecord<byte[], byte[]> message) throws InterruptedException {
    for (long pause = 50; ; pause = Math.min(2 * pause, 5_000)) {
      try (Connection db = DriverManager.getConnection(System.getenv("DATABASE_URL"))) {
        db.setAutoCommit(false);
        try {
          handle(db, message);
        } catch (SQLException e) {
          db.rollback();
          if (!ownFault(e)) {
            throw e;
          }
          setAside(db, message, e);
        }
        db.commit();
        return;
      } catch (SQLException e) {
        System.err.printf("trying again in %d ms: %s%n", pause, e.getMessage());
        Thread.sleep(pause);
      }
    }
  }

  /** Returns the first column of the only row as text, null where there is no row. */
  private static String one(Connection db, String sql, String... args) throws SQLException {
    try (PreparedStatement statement = db.prepareStatement(sql)) {
      for (int i = 0; i < args.length; i++) {
        statement.setString(i + 1, args[i]);
      }
      try (ResultSet row = statement.executeQuery()) {
        return row.next() ? row.getString(1) : null;
      }
    }
  }

  private static String header(ConsumerRecord<byte[], byte[]> message, String name) {
    Header header = message.headers().lastHeader(name);
    return header == null ? null : text(header.value());
  }

  private static String text(byte[] bytes) {
    return bytes == null ? "" : new String(bytes, StandardCharsets.UTF_8);
  }
}

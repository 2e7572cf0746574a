import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.reflect.Method;
import java.net.URLDecoder;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.client.exception.MQBrokerException;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.producer.SendCallback;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.TransactionListener;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.client.producer.selector.SelectMessageQueueByHash;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/**
 * Runs commands for the end-to-end tests with the stock Java client, 4.x or 5.x.
 *
 * <p>One command per line on standard input, as a form-encoded record; one answer per line on standard output, which
 * carries the command's id. Messages that a consumer gets are lines of their own. The package comment of the tests
 * lists commands and fields.
 */
public final class Driver {
    private final String nameServer;
    private final PrintStream out;
    private final ExecutorService workers = Executors.newCachedThreadPool();
    private final Map<String, DefaultMQProducer> producers = new ConcurrentHashMap<>();
    private final Map<String, DefaultMQPushConsumer> consumers = new ConcurrentHashMap<>();

    private Driver(String nameServer, PrintStream out) {
        this.nameServer = nameServer;
        this.out = out;
    }

    public static void main(String[] args) throws Exception {
        PrintStream out = new PrintStream(System.out, true, "UTF-8");
        System.setOut(System.err); // a library that prints must not disturb the answers
        Driver driver = new Driver(args[0], out);
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            Record command = Record.parse(line);
            driver.workers.execute(() -> driver.run(command));
        }
        Runtime.getRuntime().halt(0);
    }

    private void run(Record command) {
        Record answer;
        try {
            answer = execute(command);
        } catch (Throwable e) {
            answer = failure(e);
        }
        say(answer.put("id", command.get("id")));
    }

    private Record execute(Record c) throws Exception {
        switch (c.get("op")) {
            case "produce":
                return startProducer(c);
            case "send":
                return send(c);
            case "consume":
                return startConsumer(c);
            case "query":
                return query(c);
            case "recall":
                return recall(c);
            case "stop":
                return stop(c);
            default:
                throw new IllegalArgumentException("unknown command " + c.get("op"));
        }
    }

    private void say(Record r) {
        synchronized (out) {
            out.println(r.format());
        }
    }

    private static Record failure(Throwable e) {
        int code = 0;
        String text = e.getMessage();
        if (e instanceof MQBrokerException) {
            code = ((MQBrokerException) e).getResponseCode();
            text = ((MQBrokerException) e).getErrorMessage();
        } else if (e instanceof MQClientException) {
            code = ((MQClientException) e).getResponseCode();
            text = ((MQClientException) e).getErrorMessage();
        }
        e.printStackTrace();
        return new Record().put("error", e.getClass().getSimpleName()).put("code", code).put("text", text);
    }

    // ---- producers

    private Record startProducer(Record c) throws MQClientException {
        DefaultMQProducer p = new DefaultMQProducer(c.get("group"));
        if (c.has("transactional")) {
            TransactionMQProducer tx = new TransactionMQProducer(c.get("group"));
            tx.setTransactionListener(new Verdicts());
            p = tx;
        }
        p.setNamesrvAddr(nameServer);
        p.setInstanceName(c.get("instance"));
        p.setSendMsgTimeout(10_000);
        p.setVipChannelEnabled(c.has("vip"));
        p.start();
        producers.put(c.get("name"), p);
        return new Record();
    }

    /** The outcome of a transaction stands in the message: at once, and when the broker asks again. */
    private static final class Verdicts implements TransactionListener {
        @Override
        public LocalTransactionState executeLocalTransaction(Message m, Object arg) {
            return LocalTransactionState.valueOf(m.getUserProperty("verdict"));
        }

        @Override
        public LocalTransactionState checkLocalTransaction(MessageExt m) {
            return LocalTransactionState.valueOf(m.getUserProperty("checked"));
        }
    }

    private Record send(Record c) throws Exception {
        DefaultMQProducer p = producers.get(c.get("producer"));
        long began = System.currentTimeMillis();
        SendResult r = dispatch(p, c);
        Record answer = new Record().put("began", began).put("ended", System.currentTimeMillis());
        if (r == null) {
            return answer;
        }
        return answer.put("status", r.getSendStatus().name()).put("msg_id", r.getMsgId())
            .put("queue", r.getMessageQueue().getQueueId()).put("offset", r.getQueueOffset()).put("handle", handle(r));
    }

    /** The recall handle, which only newer clients know. */
    private static String handle(SendResult r) throws Exception {
        try {
            return (String) SendResult.class.getMethod("getRecallHandle").invoke(r);
        } catch (NoSuchMethodException e) {
            return "";
        }
    }

    private Record recall(Record c) throws Exception {
        Method method = DefaultMQProducer.class.getMethod("recallMessage", String.class, String.class);
        try {
            return new Record().put("msg_id", method.invoke(producers.get(c.get("producer")), c.get("topic"), c.get("handle")));
        } catch (java.lang.reflect.InvocationTargetException e) {
            throw (Exception) e.getCause();
        }
    }

    private static SendResult dispatch(DefaultMQProducer p, Record c) throws Exception {
        switch (c.get("mode")) {
            case "sync":
                return c.has("shard") ? p.send(message(c, 0), new SelectMessageQueueByHash(), c.get("shard"))
                    : p.send(message(c, 0));
            case "async":
                return sendAsync(p, message(c, 0));
            case "oneway":
                p.sendOneway(message(c, 0));
                return null;
            case "batch":
                List<Message> batch = new ArrayList<>();
                for (int i = 0; i < Integer.parseInt(c.get("count")); i++) {
                    batch.add(message(c, i));
                }
                return p.send(batch);
            case "transaction":
                return p.sendMessageInTransaction(message(c, 0), null);
            default:
                throw new IllegalArgumentException("unknown mode " + c.get("mode"));
        }
    }

    private static SendResult sendAsync(DefaultMQProducer p, Message m) throws Exception {
        CompletableFuture<SendResult> done = new CompletableFuture<>();
        p.send(m, new SendCallback() {
            @Override
            public void onSuccess(SendResult r) {
                done.complete(r);
            }

            @Override
            public void onException(Throwable e) {
                done.completeExceptionally(e);
            }
        });
        try {
            return done.get(30, TimeUnit.SECONDS);
        } catch (java.util.concurrent.ExecutionException e) {
            throw (Exception) e.getCause();
        }
    }

    /** Builds message number i of a command; in a batch the number is appended to the body. */
    private static Message message(Record c, int i) throws Exception {
        byte[] body = c.bytes("body");
        if (c.get("mode").equals("batch")) {
            body = (new String(body, StandardCharsets.UTF_8) + i).getBytes(StandardCharsets.UTF_8);
        }
        Message m = new Message(c.get("topic"), c.get("tags"), c.get("keys"), body);
        for (Map.Entry<String, String> e : c.withPrefix("prop.").entrySet()) {
            m.putUserProperty(e.getKey(), e.getValue());
        }
        if (c.has("delay")) {
            delay(m, c.get("delay"), c.get("value"));
        }
        return m;
    }

    /** Uses the client's own setter where this version has one, else the property as an application would set it. */
    private static void delay(Message m, String property, String value) throws Exception {
        switch (property) {
            case "DELAY":
                m.setDelayTimeLevel(Integer.parseInt(value));
                return;
            case "TIMER_DELAY_SEC":
                set(m, "setDelayTimeSec", property, value);
                return;
            case "TIMER_DELAY_MS":
                set(m, "setDelayTimeMs", property, value);
                return;
            case "TIMER_DELIVER_MS":
                set(m, "setDeliverTimeMs", property, value);
                return;
            default:
                m.putUserProperty(property, value);
        }
    }

    private static void set(Message m, String setter, String property, String value) throws Exception {
        Method method;
        try {
            method = Message.class.getMethod(setter, long.class);
        } catch (NoSuchMethodException e) {
            m.putUserProperty(property, value);
            return;
        }
        method.invoke(m, Long.parseLong(value));
    }

    // ---- administration

    /** Finds messages as an operator's tools do, which use the same calls. */
    private Record query(Record c) throws Exception {
        DefaultMQProducer p = producers.get(c.get("producer"));
        List<MessageExt> found = new ArrayList<>();
        if (c.has("msg_id")) {
            found.add(p.viewMessage(c.get("topic"), c.get("msg_id")));
        } else {
            found.addAll(p.queryMessage(c.get("topic"), c.get("key"), 32, Long.parseLong(c.get("from")),
                Long.parseLong(c.get("to"))).getMessageList());
        }
        Record answer = new Record().put("count", found.size());
        for (int i = 0; i < found.size(); i++) {
            answer.put("message." + i, event("", found.get(i)).format());
        }
        return answer;
    }

    // ---- consumers

    private Record startConsumer(Record c) throws MQClientException {
        String name = c.get("name");
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(c.get("group"));
        consumer.setNamesrvAddr(nameServer);
        consumer.setInstanceName(c.get("instance"));
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.subscribe(c.get("topic"), c.get("expression"));
        int fail = Integer.parseInt(c.get("fail"));
        if (c.has("ordered")) {
            consumer.registerMessageListener((MessageListenerOrderly) (batch, context) ->
                takeAll(name, batch, fail) ? ConsumeOrderlyStatus.SUCCESS
                    : ConsumeOrderlyStatus.SUSPEND_CURRENT_QUEUE_A_MOMENT);
        } else {
            consumer.registerMessageListener((MessageListenerConcurrently) (batch, context) ->
                takeAll(name, batch, fail) ? ConsumeConcurrentlyStatus.CONSUME_SUCCESS
                    : ConsumeConcurrentlyStatus.RECONSUME_LATER);
        }
        consumers.put(name, consumer);
        consumer.start();
        return new Record();
    }

    /** Reports the messages; false while any of them is to be refused once more. */
    private boolean takeAll(String consumer, List<MessageExt> batch, int fail) {
        boolean ok = true;
        for (MessageExt m : batch) {
            say(event(consumer, m));
            ok = ok && m.getReconsumeTimes() >= fail;
        }
        return ok;
    }

    private static Record event(String consumer, MessageExt m) {
        Record r = new Record().put("consumer", consumer).put("at", System.currentTimeMillis())
            .put("topic", m.getTopic()).put("msg_id", m.getMsgId()).put("tags", m.getTags()).put("keys", m.getKeys())
            .put("body", Base64.getEncoder().encodeToString(m.getBody())).put("queue", m.getQueueId())
            .put("offset", m.getQueueOffset()).put("reconsumed", m.getReconsumeTimes())
            .put("born", m.getBornTimestamp()).put("stored", m.getStoreTimestamp());
        m.getProperties().forEach((k, v) -> r.put("prop." + k, v));
        return r;
    }

    private Record stop(Record c) {
        DefaultMQProducer p = producers.remove(c.get("name"));
        if (p != null) {
            p.shutdown();
        }
        DefaultMQPushConsumer consumer = consumers.remove(c.get("name"));
        if (consumer != null) {
            consumer.shutdown();
        }
        return new Record();
    }

    /** A flat map of strings, form-encoded on the wire. */
    private static final class Record {
        private final Map<String, String> fields = new TreeMap<>();

        static Record parse(String line) {
            Record r = new Record();
            for (String pair : line.split("&")) {
                int eq = pair.indexOf('=');
                r.fields.put(URLDecoder.decode(pair.substring(0, eq), StandardCharsets.UTF_8),
                    URLDecoder.decode(pair.substring(eq + 1), StandardCharsets.UTF_8));
            }
            return r;
        }

        String format() {
            StringBuilder line = new StringBuilder();
            fields.forEach((k, v) -> line.append(line.length() == 0 ? "" : "&")
                .append(URLEncoder.encode(k, StandardCharsets.UTF_8)).append('=')
                .append(URLEncoder.encode(v, StandardCharsets.UTF_8)));
            return line.toString();
        }

        Record put(String key, Object value) {
            fields.put(key, value == null ? "" : value.toString());
            return this;
        }

        String get(String key) {
            return fields.getOrDefault(key, "");
        }

        boolean has(String key) {
            return !get(key).isEmpty();
        }

        byte[] bytes(String key) {
            return Base64.getDecoder().decode(get(key));
        }

        Map<String, String> withPrefix(String prefix) {
            Map<String, String> found = new TreeMap<>();
            fields.forEach((k, v) -> {
                if (k.startsWith(prefix)) {
                    found.put(k.substring(prefix.length()), v);
                }
            });
            return found;
        }
    }
}

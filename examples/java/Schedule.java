import java.nio.charset.StandardCharsets;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/** Schedules one message three seconds ahead and receives it, with the stock Apache RocketMQ client. */
public class Schedule {
    public static void main(String[] args) {
        boolean ok = false;
        try {
            ok = run(args.length > 0 ? args[0] : "127.0.0.1:9876");
        } catch (Exception e) {
            e.printStackTrace();
        }
        System.exit(ok ? 0 : 1); // the clients' threads would keep the process alive after an exception
    }

    /** Sends first: that creates the topic, so the consumer finds it at once and not at its next look, 30 s later. */
    private static boolean run(String nameServer) throws Exception {
        DefaultMQProducer producer = new DefaultMQProducer("java-example-producer");
        producer.setNamesrvAddr(nameServer);
        producer.start();

        long due = System.currentTimeMillis() + 3000;
        Message message = new Message("java-example", "reminder", "order-42",
            "close the unpaid order".getBytes(StandardCharsets.UTF_8));
        message.setDeliverTimeMs(due); // 4.x clients: message.putUserProperty("TIMER_DELIVER_MS", String.valueOf(due))
        SendResult sent = producer.send(message);
        System.out.println("scheduled " + sent.getMsgId());

        CountDownLatch received = new CountDownLatch(1);
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer("java-example-consumer");
        consumer.setNamesrvAddr(nameServer);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.subscribe("java-example", "reminder");
        consumer.registerMessageListener((MessageListenerConcurrently) (batch, context) -> {
            for (MessageExt m : batch) {
                long late = System.currentTimeMillis() - due;
                if (m.getMsgId().equals(sent.getMsgId())) {
                    System.out.println("received " + m.getMsgId() + " " + late + " ms after its time: "
                        + new String(m.getBody(), StandardCharsets.UTF_8));
                    received.countDown();
                }
            }
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();

        boolean ok = received.await(30, TimeUnit.SECONDS);
        consumer.shutdown();
        producer.shutdown();
        return ok;
    }
}

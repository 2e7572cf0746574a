import org.apache.rocketmq.store.ha.DefaultHAService;

/**
 * The replication service of a broker that has no replicas. The stock one listens on all interfaces and has no setting
 * against it; this one does everything but listen.
 */
public final class NoReplication extends DefaultHAService {
    @Override
    public void start() throws Exception {
        groupTransferService.start();
        haConnectionStateNotificationService.start();
    }
}

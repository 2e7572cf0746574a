package message

// Bits of [Message.SysFlag].
const (
	SysFlagCompressed int32 = 1 << 0 // the body is compressed; the broker never looks inside
	SysFlagMultiTags  int32 = 1 << 1
	SysFlagPrepared   int32 = 1 << 2 // half message of a transaction
	SysFlagCommit     int32 = 2 << 2 // committed transaction message
	SysFlagRollback   int32 = 3 << 2
	SysFlagBornV6     int32 = 1 << 4 // born host is 16 bytes
	SysFlagStoreV6    int32 = 1 << 5 // store host is 16 bytes
	SysFlagNeedUnwrap int32 = 1 << 6
	SysFlagInnerBatch int32 = 1 << 7

	// SysFlagTransactionMask covers the two transaction bits: 0 is an ordinary
	// message, else SysFlagPrepared, SysFlagCommit or SysFlagRollback.
	SysFlagTransactionMask int32 = 3 << 2
)

// TransactionType returns the transaction bits of sysFlag.
func TransactionType(sysFlag int32) int32 { return sysFlag & SysFlagTransactionMask }

// WithTransactionType returns sysFlag with its transaction bits replaced by t.
func WithTransactionType(sysFlag, t int32) int32 {
	return sysFlag&^SysFlagTransactionMask | t&SysFlagTransactionMask
}

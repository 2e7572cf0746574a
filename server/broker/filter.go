package broker

import (
	"errors"
	"slices"
	"strings"

	"github.com/duelog/duelog/server/message"
)

// expressionTag is the one filter language served; an absent type means it too.
const expressionTag = "TAG"

// errFilterType: the subscription asks for a filter language we do not have.
var errFilterType = errors.New("The broker does not support consumer to filter message by SQL92") //lint:ignore ST1005 a remark clients know

// filter decides by tag hash which queue entries a consumer gets. Hashes
// collide; clients compare the tag's text again.
type filter struct {
	all  bool
	tags []uint32
}

// match tells whether an entry with the given tag hash passes.
func (f *filter) match(tag uint32) bool { return f.all || slices.Contains(f.tags, tag) }

// parseFilter reads a subscription expression: "*" or "" for everything, else
// tags joined by "||".
func parseFilter(expression, expressionType string) (*filter, error) {
	if expressionType != "" && expressionType != expressionTag {
		return nil, errFilterType
	}
	f := &filter{}
	for tag := range strings.SplitSeq(expression, "||") {
		switch tag = strings.TrimSpace(tag); tag {
		case "":
		case "*":
			return &filter{all: true}, nil
		default:
			f.tags = append(f.tags, uint32(message.Hash(tag)))
		}
	}
	f.all = len(f.tags) == 0
	return f, nil
}

//go:build race

package remoting

// poisonFrames makes every frame unreadable once its handler has returned, so
// that tests catch handlers that keep views of it.
const poisonFrames = true

func poison(frame []byte) {
	for i := range frame {
		frame[i] = 0xDB
	}
}

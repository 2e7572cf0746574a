package tools

// background does one job at a time beside its owner, who gets the error of a job with
// the next call.
type background struct{ done chan error }

// start waits for the job before, and begins another.
func (b *background) start(job func() error) error {
	err := b.wait()
	done := make(chan error, 1)
	b.done = done
	go func() { done <- job() }()
	return err
}

// wait waits for the job that is under way.
func (b *background) wait() error {
	if b.done == nil {
		return nil
	}
	err := <-b.done
	b.done = nil
	return err
}

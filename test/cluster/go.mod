module github.com/lanyard-io/lanyard/test/cluster

go 1.26.0

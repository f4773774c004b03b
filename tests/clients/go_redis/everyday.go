// What applications do with go-redis: values of every type, pipelines, optimistic transactions, scripts,
// messages, scans, many callers at once. It prints one line a fact.
package main

import (
	"errors"
	"fmt"
	"os"
	"sort"
	"strings"
	"sync"
	"time"

	"gopkg.in/redis.v5"
)

func part(name string) { fmt.Printf("\n== %s\n", name) }

// say prints what a command came to: its answer, or its error.
func say(what string, value interface{}, err error) {
	if err != nil {
		fmt.Printf("%s: error %v\n", what, err)
		return
	}
	fmt.Printf("%s: %v\n", what, value)
}

// until waits for a condition. Two servers that wait in vain would be equal, so that ends the suite.
func until(what string, isSo func() bool) {
	for begun := time.Now(); !isSo(); time.Sleep(5 * time.Millisecond) {
		if time.Since(begun) > 30*time.Second {
			fmt.Fprintln(os.Stderr, "in vain:", what)
			os.Exit(1)
		}
	}
}

func connect() *redis.Client {
	return redis.NewClient(&redis.Options{Addr: os.Getenv("HOST") + ":" + os.Getenv("PORT")})
}

func values(client *redis.Client) {
	part("values")
	say("set", "", client.Set("text", "tea ü", 0).Err())
	say("get", client.Get("text").Val(), nil)
	_, err := client.Get("missing").Result()
	say("missing", err == redis.Nil, nil)
	say("with a life", client.Set("fleeting", 1, time.Minute).Val(), nil)
	ttl := client.TTL("fleeting").Val()
	say("its life", ttl > 55*time.Second && ttl <= time.Minute, nil)
	isSet, err := client.SetNX("text", "other", 0).Result()
	say("only if it is not there", isSet, err)
	count, err := client.IncrBy("count", 41).Result()
	say("counted", count, err)
	float, err := client.IncrByFloat("count", 0.5).Result()
	say("counted on", float, err)
	many, err := client.MGet("text", "missing", "count").Result()
	say("many", many, err)
	say("no integer", "", client.Incr("text").Err())
	bit, err := client.SetBit("bits", 7, 1).Result()
	say("a bit", bit, err)
	bits, err := client.BitCount("bits", &redis.BitCount{Start: 0, End: -1}).Result()
	say("bits", bits, err)
	estimate := client.PFAdd("visitors", "ann", "bob", "ann").Err()
	say("visitors", client.PFCount("visitors").Val(), estimate)
}

func collections(client *redis.Client) {
	part("collections")
	length, err := client.RPush("list", "a", "b", "c").Result()
	say("pushed", length, err)
	items, err := client.LRange("list", 0, -1).Result()
	say("list", items, err)
	popped, err := client.BLPop(time.Second, "empty", "list").Result()
	say("popped", popped, err)
	_, err = client.BLPop(time.Second, "empty").Result()
	say("nothing to pop", err == redis.Nil, nil)
	say("wrong type", "", client.SAdd("list", "x").Err())

	say("hash", client.HMSet("hash", map[string]string{"name": "Ann", "age": "30"}).Val(), nil)
	fields, err := client.HGetAll("hash").Result()
	say("fields", fields, err)
	age, err := client.HIncrBy("hash", "age", 1).Result()
	say("older", age, err)

	client.SAdd("one", "a", "b", "c")
	client.SAdd("other", "b", "c", "d")
	both, err := client.SInter("one", "other").Result()
	sort.Strings(both)
	say("both", both, err)

	client.ZAdd("board", redis.Z{Score: 1.5, Member: "ann"}, redis.Z{Score: 3, Member: "bob"})
	score, err := client.ZIncrBy("board", 2.25, "ann").Result()
	say("score", score, err)
	top, err := client.ZRevRangeWithScores("board", 0, -1).Result()
	say("top", top, err)
	inRange, err := client.ZRangeByScore("board", redis.ZRangeBy{Min: "(3", Max: "+inf"}).Result()
	say("above three", inRange, err)

	client.GeoAdd("places",
		&redis.GeoLocation{Name: "Palermo", Longitude: 13.361389, Latitude: 38.115556},
		&redis.GeoLocation{Name: "Catania", Longitude: 15.087269, Latitude: 37.502669})
	far, err := client.GeoDist("places", "Palermo", "Catania", "km").Result()
	say("far", far, err)
	near, err := client.GeoRadius("places", 15, 37, &redis.GeoRadiusQuery{Radius: 200, Unit: "km", WithDist: true, Sort: "ASC"}).Result()
	say("near", near, err)
}

func together(client *redis.Client) {
	part("pipelines and transactions")
	pipe := client.Pipeline()
	set, get, wrong := pipe.Set("piped", "1", 0), pipe.Get("piped"), pipe.LPush("piped", "x")
	_, err := pipe.Exec()
	say("piped", []interface{}{set.Val(), get.Val(), wrong.Err()}, nil)
	say("its first error", err, nil)

	var counted *redis.IntCmd
	_, err = client.TxPipelined(func(pipe *redis.Pipeline) error {
		counted = pipe.Incr("transacted")
		pipe.Expire("transacted", time.Hour)
		return nil
	})
	say("transacted", counted.Val(), err)

	// Each takes one, as often as it must try.
	client.Set("stock", 20, 0)
	take := func() error {
		return client.Watch(func(tx *redis.Tx) error {
			left, err := tx.Get("stock").Int64()
			if err != nil {
				return err
			}
			if left == 0 {
				return errors.New("none is left")
			}
			_, err = tx.Pipelined(func(pipe *redis.Pipeline) error {
				pipe.Set("stock", left-1, 0)
				return nil
			})
			return err
		}, "stock")
	}
	var callers sync.WaitGroup
	for caller := 0; caller < 20; caller++ {
		callers.Add(1)
		go func() {
			defer callers.Done()
			for take() == redis.TxFailedErr {
			}
		}()
	}
	callers.Wait()
	say("left", client.Get("stock").Val(), nil)
	say("one more", "", take())

	for caller := 0; caller < 50; caller++ {
		callers.Add(1)
		go func() {
			defer callers.Done()
			for i := 0; i < 20; i++ {
				client.Incr("hits")
			}
		}()
	}
	callers.Wait()
	say("hits", client.Get("hits").Val(), nil)
}

func scripts(client *redis.Client) {
	part("scripts")
	add := redis.NewScript("return redis.call('INCRBY', KEYS[1], ARGV[1])")
	for i := 0; i < 2; i++ {
		sum, err := add.Run(client, []string{"sum"}, 21).Result()
		say("sum", sum, err)
	}
	known, err := client.ScriptExists(add.Load(client).Val(), strings.Repeat("0", 40)).Result()
	say("known", known, err)
	_, err = client.EvalSha(strings.Repeat("0", 40), nil).Result()
	say("unknown", "", err)
	mixed, err := client.Eval("return {1, 'two', {3, false}, redis.status_reply('fine')}", nil).Result()
	say("mixed", mixed, err)
	_, err = client.Eval("return redis.error_reply('MINE own')", nil).Result()
	say("own error", "", err)
}

func messages(client *redis.Client) {
	part("messages")
	listener, err := client.Subscribe("news")
	say("subscribed", err == nil, err)
	pattern, err := client.PSubscribe("n*")
	say("to a pattern", err == nil, err)
	until("both listen", func() bool {
		return client.PubSubNumSub("news").Val()["news"] == 1 && client.PubSubNumPat().Val() == 1
	})
	heard, err := client.Publish("news", "hello").Result()
	say("heard by", heard, err)
	message, err := listener.ReceiveMessage()
	say("message", message, err)
	message, err = pattern.ReceiveMessage()
	say("by its pattern", message, err)
	listener.Close()
	pattern.Close()
	until("nobody listens", func() bool { return client.Publish("news", "anybody?").Val() == 0 })
}

func scans(client *redis.Client) {
	part("scans")
	for i := 0; i < 1000; i++ {
		client.Set(fmt.Sprintf("scanned:%d", i), i, 0)
	}
	found, scan := map[string]bool{}, client.Scan(0, "scanned:*", 50).Iterator()
	for scan.Next() {
		found[scan.Val()] = true
	}
	say("found", len(found), scan.Err())
	sorted, err := client.Sort("unsorted", redis.Sort{}).Result()
	say("sorted nothing", sorted, err)
	dump := client.Dump("list").Val()
	say("restored", client.Restore("copy", 0, dump).Val(), nil)
	items, err := client.LRange("copy", 0, -1).Result()
	say("the same", items, err)
}

func server(client *redis.Client) {
	part("the server")
	say("ping", client.Ping().Val(), nil)
	say("save", client.Save().Val(), nil)
	say("in the background", client.BgSave().Val(), nil)
	until("it is saved", func() bool {
		return strings.Contains(client.Info("persistence").Val(), "rdb_bgsave_in_progress:0")
	})
	said, err := client.ConfigGet("maxmemory-policy").Result()
	say("config", said, err)
	say("config", client.ConfigSet("maxmemory-policy", "nonsense").Err() != nil, nil)
	say("flushed", client.FlushAll().Val(), nil)
	size, err := client.DbSize().Result()
	say("size", size, err)
}

func main() {
	client := connect()
	defer client.Close()
	for _, each := range []func(*redis.Client){values, collections, together, scripts, messages, scans, server} {
		each(client)
	}
}

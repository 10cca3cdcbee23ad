// What golang.org/x/mod/sumdb says of notes, proofs and tiles.
//
// Standard input: a list of cases, as JSON; bytes are in base64. Each has one of the fields
// of type testCase below. Standard output: a list with an empty string for each case that is
// accepted, else the reason.
package main

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const tileHeight = 8

type testCase struct {
	Checkpoint  *signedNote
	Inclusion   *inclusion
	Consistency *consistency
	Proof       *offlineProof
	Log         *publishedLog
	Growth      *growth
}

type signedNote struct {
	Note         []byte
	VerifierKeys []string
	Unknown      int // signatures, which must be let be
}

type inclusion struct {
	Index, Size    int64
	LeafHash, Root []byte
	Path           [][]byte
}

type consistency struct {
	Old, New         int64
	OldRoot, NewRoot []byte
	Path             [][]byte
}

// A c2sp.org/tlog-proof of a leaf.
type offlineProof struct {
	Text         string
	Leaf         []byte
	VerifierKeys []string
}

// All files of a log, by path, and its leaves.
type publishedLog struct {
	Files        map[string][]byte
	Leaves       [][]byte
	VerifierKeys []string
}

// The paths of the tiles that a log makes when it grows.
type growth struct {
	Old, New int64
	Paths    []string
}

func main() {
	var cases []testCase
	if err := json.NewDecoder(os.Stdin).Decode(&cases); err != nil {
		panic(err)
	}
	reasons := make([]string, len(cases))
	for i, each := range cases {
		if err := verify(each); err != nil {
			reasons[i] = err.Error()
		}
	}
	json.NewEncoder(os.Stdout).Encode(reasons)
}

func verify(c testCase) error {
	switch {
	case c.Checkpoint != nil:
		_, err := openCheckpoint(c.Checkpoint.Note, c.Checkpoint.VerifierKeys, c.Checkpoint.Unknown)
		return err
	case c.Inclusion != nil:
		p := c.Inclusion
		return checkRecord(p.Path, p.Size, p.Root, p.Index, p.LeafHash)
	case c.Consistency != nil:
		return checkTree(c.Consistency)
	case c.Proof != nil:
		return verifyProof(c.Proof)
	case c.Log != nil:
		return verifyLog(c.Log)
	case c.Growth != nil:
		return verifyGrowth(c.Growth)
	}
	return errors.New("empty case")
}

// openCheckpoint wants a signature of every key, and so many others.
func openCheckpoint(text []byte, verifierKeys []string, unknown int) (tlog.Tree, error) {
	var known []note.Verifier
	for _, key := range verifierKeys {
		verifier, err := note.NewVerifier(key)
		if err != nil {
			return tlog.Tree{}, err
		}
		known = append(known, verifier)
	}
	opened, err := note.Open(text, note.VerifierList(known...))
	if err != nil {
		return tlog.Tree{}, err
	}
	if len(opened.Sigs) != len(known) || len(opened.UnverifiedSigs) != unknown {
		return tlog.Tree{}, errors.New("a signature is missing or unknown")
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[0] != known[0].Name() {
		return tlog.Tree{}, errors.New("not a checkpoint of this log")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return tlog.Tree{}, err
	}
	root, err := tlog.ParseHash(lines[2])
	return tlog.Tree{N: size, Hash: root}, err
}

func checkRecord(path [][]byte, size int64, root []byte, index int64, leafHash []byte) error {
	hashes, err := toHashes(append([][]byte{root, leafHash}, path...))
	if err != nil {
		return err
	}
	return tlog.CheckRecord(hashes[2:], size, hashes[0], index, hashes[1])
}

func checkTree(p *consistency) error {
	hashes, err := toHashes(append([][]byte{p.NewRoot, p.OldRoot}, p.Path...))
	if err != nil {
		return err
	}
	return tlog.CheckTree(hashes[2:], p.New, hashes[0], p.Old, hashes[1])
}

func verifyProof(p *offlineProof) error {
	header, checkpoint, found := strings.Cut(p.Text, "\n\n")
	lines := strings.Split(header, "\n")
	if !found || len(lines) < 2 || lines[0] != "c2sp.org/tlog-proof@v1" {
		return errors.New("not a tlog-proof")
	}
	digits, found := strings.CutPrefix(lines[1], "index ")
	index, err := strconv.ParseInt(digits, 10, 64)
	if !found || err != nil {
		return errors.New("no index")
	}
	var path [][]byte
	for _, line := range lines[2:] {
		hash, err := base64.StdEncoding.DecodeString(line)
		if err != nil {
			return err
		}
		path = append(path, hash)
	}
	tree, err := openCheckpoint([]byte(checkpoint), p.VerifierKeys, 0)
	if err != nil {
		return err
	}
	hash := tlog.RecordHash(p.Leaf)
	return checkRecord(path, tree.N, tree.Hash[:], index, hash[:])
}

func verifyLog(l *publishedLog) error {
	tree, err := openCheckpoint(l.Files["checkpoint"], l.VerifierKeys, 0)
	if err != nil {
		return err
	}
	if tree.N != int64(len(l.Leaves)) {
		return errors.New("the checkpoint is of another size")
	}
	indexes := make([]int64, tree.N)
	for i := range indexes {
		indexes[i] = tlog.StoredHashIndex(0, int64(i))
	}
	hashes, err := tlog.TileHashReader(tree, tileFiles(l.Files)).ReadHashes(indexes)
	if err != nil {
		return err
	}
	entries, err := readEntries(l.Files, tree.N)
	if err != nil {
		return err
	}
	for i, entry := range entries {
		if string(entry) != string(l.Leaves[i]) || tlog.RecordHash(entry) != hashes[i] {
			return fmt.Errorf("leaf %d is another", i)
		}
	}
	return nil
}

// readEntries splits the bundles over the tiles of level 0.
func readEntries(files map[string][]byte, size int64) ([][]byte, error) {
	var entries [][]byte
	for _, tile := range tlog.NewTiles(tileHeight, 0, size) {
		if tile.L != 0 {
			continue
		}
		tile.L = -1
		rest, before := files[publishedPath(tile)], len(entries)
		for len(rest) >= 2 && len(rest) >= 2+int(binary.BigEndian.Uint16(rest)) {
			end := 2 + int(binary.BigEndian.Uint16(rest))
			entries = append(entries, rest[2:end])
			rest = rest[end:]
		}
		if len(rest) != 0 || len(entries)-before != tile.W {
			return nil, errors.New("a bundle is cut")
		}
	}
	return entries, nil
}

func verifyGrowth(g *growth) error {
	var expected []string
	for _, tile := range tlog.NewTiles(tileHeight, g.Old, g.New) {
		expected = append(expected, publishedPath(tile))
		if tile.L == 0 {
			tile.L = -1
			expected = append(expected, publishedPath(tile))
		}
	}
	slices.Sort(expected)
	slices.Sort(g.Paths)
	if !slices.Equal(expected, g.Paths) {
		return fmt.Errorf("paths are %v, not %v", g.Paths, expected)
	}
	return nil
}

// publishedPath is c2sp.org/tlog-tiles' path, where the checksum database's names the height.
func publishedPath(t tlog.Tile) string {
	path := strings.Replace(t.Path(), "tile/8/", "tile/", 1)
	return strings.Replace(path, "tile/data/", "tile/entries/", 1)
}

// tileFiles reads tiles from published files.
type tileFiles map[string][]byte

func (f tileFiles) Height() int { return tileHeight }

func (f tileFiles) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var contents [][]byte
	for _, tile := range tiles {
		contents = append(contents, f[publishedPath(tile)])
	}
	return contents, nil
}

func (f tileFiles) SaveTiles([]tlog.Tile, [][]byte) {}

func toHashes(all [][]byte) ([]tlog.Hash, error) {
	var hashes []tlog.Hash
	for _, each := range all {
		if len(each) != tlog.HashSize {
			return nil, errors.New("a hash of another length")
		}
		hashes = append(hashes, tlog.Hash(each))
	}
	return hashes, nil
}

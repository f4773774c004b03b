#!/bin/sh
# Makes the certificates of this directory, which are for tests alone: two authorities, a server of the
# first one, and a client of each. They are good for a hundred years.
set -e
authority() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 36500 \
        -subj "/CN=$1" -keyout "$1.key" -out "$1.pem"
}
# NAME AUTHORITY
signed() {
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$1" \
        -keyout "$1.key" -out "$1.csr"
    printf 'subjectAltName=IP:127.0.0.1,DNS:localhost\nbasicConstraints=CA:FALSE\n' > names
    openssl x509 -req -in "$1.csr" -CA "$2.pem" -CAkey "$2.key" -CAcreateserial -days 36500 \
        -extfile names -out "$1.pem"
    rm "$1.csr" names
}
authority authority
authority stranger
signed server authority
signed renewed authority
signed client authority
signed strange-client stranger
openssl pkey -in server.key -aes256 -passout pass:secret -out sealed.key
rm -f ./*.srl authority.key stranger.key

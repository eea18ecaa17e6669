package provider

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"os"
)

// User is an account. The e-mail address is its name and its sub claim.
type User struct {
	Email    string   `json:"email"`
	Password string   `json:"password"`
	Groups   []string `json:"groups"`
}

// ReadUsers reads a JSON array of users. A field that User does not have is an error.
func ReadUsers(path string) ([]User, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read users: %w", err)
	}
	defer file.Close()
	decoder := json.NewDecoder(file)
	decoder.DisallowUnknownFields()
	var users []User
	if err := decoder.Decode(&users); err != nil {
		return nil, fmt.Errorf("read users of %s: %w", path, err)
	}
	return users, checkUsers(users)
}

func checkUsers(users []User) error {
	if len(users) == 0 {
		return errors.New("there are no users")
	}
	seen := make(map[string]bool)
	for i, user := range users {
		switch {
		case user.Email == "" || user.Password == "":
			return fmt.Errorf("users[%d]: e-mail address and password are required", i)
		case seen[user.Email]:
			return fmt.Errorf("users[%d]: %s is there twice", i, user.Email)
		}
		seen[user.Email] = true
	}
	return nil
}

// authenticate reports whether there is such a user with such a password. It takes as long for a user that does not exist.
func authenticate(users map[string]User, email, password string) bool {
	user, known := users[email]
	return equalSecret(user.Password, password) && known
}

// equalSecret compares in a time that depends on neither text.
func equalSecret(want, got string) bool {
	a, b := sha256.Sum256([]byte(want)), sha256.Sum256([]byte(got))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

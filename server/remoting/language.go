package remoting

// Languages of a peer. Python clients are C++ ones underneath and say so.
const (
	LangJava   uint8 = 0
	LangCPP    uint8 = 1
	LangDotnet uint8 = 2
	LangPython uint8 = 3
	LangOther  uint8 = 7
	LangGo     uint8 = 9
	LangRust   uint8 = 12
	LangNodeJS uint8 = 13
)

// languages holds the name of each code; part of the protocol, do not change.
var languages = [...]string{
	"JAVA", "CPP", "DOTNET", "PYTHON", "DELPHI", "ERLANG", "RUBY", "OTHER",
	"HTTP", "GO", "PHP", "OMS", "RUST", "NODE_JS",
}

// LanguageName returns the name of a language code, "OTHER" for an unknown one.
func LanguageName(code uint8) string {
	if int(code) < len(languages) {
		return languages[code]
	}
	return languages[LangOther]
}

// LanguageCode returns the code of a language name, LangOther for an unknown one.
func LanguageCode(name string) uint8 {
	for i, n := range languages {
		if n == name {
			return uint8(i)
		}
	}
	return LangOther
}

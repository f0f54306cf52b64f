struct Shape { virtual int area() const; virtual ~Shape() {} int side = 3; };
inline int squared(int x) { static int calls = 0; calls++; return x * x; }
template <typename T> T largest(T a, T b) { return a > b ? a : b; }
inline int Shape::area() const { return squared(side); }


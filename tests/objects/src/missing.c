extern int twicee(int);
extern int nowhere_data;
__attribute__((export_name("lost"))) int lost(int x) { return twicee(x) + nowhere_data; }

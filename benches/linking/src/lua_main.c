/* Runs a fixed Lua workload and prints its result. */
#include <stdio.h>
#include "lua.h"
#include "lauxlib.h"
#include "lualib.h"

static const char script[] =
    "local function fib(n) if n < 2 then return n end return fib(n-1) + fib(n-2) end\n"
    "local t = {}\n"
    "for i = 1, 200 do t[#t+1] = string.format('%05d', (i * 7919) % 1009) end\n"
    "table.sort(t)\n"
    "local words = {}\n"
    "for w in string.gmatch('mend the net and mend the sail', '%a+') do words[w] = (words[w] or 0) + 1 end\n"
    "local s = {}\n"
    "for i = 1, 50 do s[i] = string.upper(string.rep(t[i], 2, '-')) end\n"
    "print(fib(18), t[1], t[100], t[200], words.mend, #table.concat(s, ','), math.floor(math.sqrt(1e6)))\n"
    "print(select('#', table.unpack(t, 1, 20)), utf8.len('na\\xc3\\xafve'), string.upper('upper'), math.type(3.0))\n";

int main(void) {
    lua_State *L = luaL_newstate();
    luaL_requiref(L, "_G", luaopen_base, 1);
    luaL_requiref(L, "table", luaopen_table, 1);
    luaL_requiref(L, "string", luaopen_string, 1);
    luaL_requiref(L, "math", luaopen_math, 1);
    luaL_requiref(L, "utf8", luaopen_utf8, 1);
    luaL_requiref(L, "coroutine", luaopen_coroutine, 1);
    lua_settop(L, 0);
    if (luaL_dostring(L, script) != LUA_OK) {
        printf("error: %s\n", lua_tostring(L, -1));
        return 1;
    }
    lua_close(L);
    return 0;
}
